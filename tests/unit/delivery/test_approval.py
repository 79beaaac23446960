"""What is to be approved, and what an approval holds for."""

from __future__ import annotations

import pytest
from ometria_provider.delivery.approval import Change, Question, When, covers, questions, uncovered
from ometria_provider.delivery.limits import Breach

BREACH = Breach("max_changed_share", 21, "21 would change.", "Set it higher.")


@pytest.mark.parametrize(
    ("when", "broken", "change", "concerned", "keys"),
    [
        ("above_limits", [BREACH], None, 0, ["max_changed_share"]),
        ("above_limits", [], Change(1), 9, []),
        ("changed_mapping", [BREACH], Change(None), 9, ["max_changed_share", "changed_mapping"]),
        ("changed_mapping", [], None, 9, []),
        ("always", [], None, 9, ["always"]),
        ("always", [], None, 0, []),
        ("never", [BREACH], Change(1), 9, ["max_changed_share"]),
    ],
)
def test_questions_are_those_that_the_mapping_asks_for(
    when: When, broken: list[Breach], change: Change | None, concerned: int, keys: list[str]
) -> None:
    assert [each.key for each in questions(when, broken, change=change, concerned=concerned)] == keys


def test_approval_covers_so_many_members_and_no_more() -> None:
    approved = covers([Question("a", 5, "", ""), Question("b", 0, "", "")])
    assert uncovered([Question("a", 5, "", ""), Question("b", 0, "", "")], approved) == []
    more = [Question("a", 6, "", ""), Question("c", 0, "", "")]
    assert uncovered(more, approved) == more
