"""Who left, and what Ometria is told."""

import json

import pytest
from ometria_provider.delivery.departures import (
    FILTERED,
    Mode,
    complaints,
    farewell,
    left_the_where,
    plain_reason,
    why_missing,
)


@pytest.mark.parametrize(
    ("absent_run_id", "opted_out", "why"),
    [
        (None, (), None),
        (7, (), None),
        (6, (), "absent from two complete scans in a row"),
        (None, ("a",), "opted out in Antavo"),
        (6, ("a",), "opted out in Antavo"),
        (None, ("b",), None),
    ],
    ids=["first absence", "this run's own", "second absence", "opted out", "opted out late", "another opted out"],
)
def test_why_missing_tells_an_absence_from_a_departure(
    absent_run_id: int | None, opted_out: tuple[str, ...], why: str | None
) -> None:
    assert why_missing("a", absent_run_id, run_id=7, opted_out=opted_out) == why


HEAD = {"@type": "contact", "@collection": "members", "@merge": True, "id": "a"}
OFF = {"@remove_from_lists": [4821]}
OUT = {"marketing_optin": "EXPLICITLY_OPTEDOUT"}


@pytest.mark.parametrize(
    ("mode", "list_id", "said"),
    [
        ("remove_from_list", 4821, OFF),
        ("remove_from_list", None, None),
        ("opt_out", 4821, OFF | OUT),
        ("opt_out", None, OUT),
        ("ignore", 4821, None),
    ],
)
def test_farewell_says_no_more_than_the_mode_asks_for(
    mode: Mode, list_id: int | None, said: dict[str, object] | None
) -> None:
    body = farewell("a", collection="members", list_id=list_id, mode=mode)
    assert (body and json.loads(body)) == (said and HEAD | said)


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ((0, 0, 0), []),
        ((5, 2, 0), []),
        ((0, 2, 0), ["refused all 2 records"]),
        ((5, 0, 100), ["100 members who left may be on the list still"]),
    ],
    ids=["nobody", "some refused", "all refused", "doubtful"],
)
def test_complaints_make_red_what_somebody_must_look_at(counts: tuple[int, int, int], says: list[str]) -> None:
    found = complaints(*counts)
    assert len(found) == len(says)
    assert all(part in sentence for part, sentence in zip(says, found, strict=True))


def test_plain_reason_leaves_out_the_rule() -> None:
    assert left_the_where("where: status in [active]") == f"{FILTERED}: status in [active]"
    assert plain_reason(left_the_where("where: status in [active]")) == FILTERED
    assert plain_reason("opted out in Antavo") == "opted out in Antavo"
