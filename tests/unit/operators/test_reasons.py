"""Members counted by reason."""

from __future__ import annotations

from ometria_provider.operators.reasons import ByReason


def test_members_are_counted_by_reason_with_a_few_of_their_ids() -> None:
    found = ByReason(most=2)
    for number in range(3):
        found.note(f"m{number}", "where: status")
    found.note("m3", "where: country")
    found.note("m4", None)
    assert found.facts() == {
        "where: status": {"members": 3, "first_ids": ["m0", "m1"]},
        "where: country": {"members": 1, "first_ids": ["m3"]},
    }
