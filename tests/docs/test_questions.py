"""Each question that users ask of such systems in vain has half a page, which begins with one click and one command."""

from __future__ import annotations

from pathlib import Path

import pytest

#: The pages, by the question.
QUESTIONS = {
    "did last night's sync work?": "did-it-work",
    "green, yet nothing arrived?": "green-yet-nothing-arrived",
    "which rows failed, and why?": "which-rows-failed",
    "why is customer 123 missing?": "why-is-a-customer-missing",
    "what will this change do?": "what-will-it-do",
}
#: Lines, with the empty ones.
HALF_A_PAGE = 52


@pytest.mark.parametrize("name", QUESTIONS.values())
def test_page_of_a_question_begins_with_one_click_and_one_command(root: Path, name: str) -> None:
    text = (root / "docs" / "how-to" / f"{name}.md").read_text(encoding="utf-8")
    click, command, block = (text.index(each) for each in ("**One click**:", "**One command**:", "```sh\n"))
    assert click < command < block
    assert text[:block].count("\n") < 15
    called = text[block:].split("```")[1].removeprefix("sh\n").strip().splitlines()
    assert len(called) == 1
    assert text.count("\n") <= HALF_A_PAGE


def test_readme_asks_each_question(root: Path) -> None:
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert all(f"[{asked}](docs/how-to/{name}.md)" in readme for asked, name in QUESTIONS.items())
