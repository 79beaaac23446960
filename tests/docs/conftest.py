"""The pages under test, read once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Page:
    """One page of documentation."""

    path: Path
    text: str

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    def blocks(self, language: str) -> list[str]:
        """Return the code blocks in a language."""
        return [body for kind, body in _FENCE.findall(self.text) if kind == language]

    @property
    def prose(self) -> str:
        """The page without its code blocks."""
        return _FENCE.sub("", self.text)


def _read() -> list[Page]:
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return [Page(file, file.read_text(encoding="utf-8")) for file in sorted(files)]


PAGES = _read()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `page` once for each page."""
    if "page" in metafunc.fixturenames:
        metafunc.parametrize("page", PAGES, ids=str)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def pages() -> list[Page]:
    """Every page: those at the top of the checkout, and docs/."""
    return PAGES
