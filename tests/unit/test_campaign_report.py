"""A campaign run's report, for people."""

from __future__ import annotations

import pytest
from ometria_provider.campaign_report import CampaignReport, percentile, render
from ometria_provider.ledger.campaign_facts import ApiUse, CampaignFacts, LateWords
from ometria_provider.ledger.campaign_runs import Outcome, Undone

MANY = CampaignReport(
    "reward_claimed",
    (
        Outcome("acknowledged", None, 38, "e9"),
        Outcome("skipped", "the member opted out of marketing", 2, "e7"),
        Outcome("rejected", "reward_name is longer than 512 characters", 1, "e8"),
    ),
    tuple(float(n) for n in range(1, 39)),
    Undone(held=0, new=3),
)


def test_report_answers_what_was_sent_what_not_and_how_fast() -> None:
    text = render(MANY, CampaignFacts((ApiUse("Ometria", 4, 0, 0, 8.0, 0.25),)))
    assert "38 events sent to Ometria and acknowledged; 2 skipped, 1 rejected." in text
    assert "  acknowledged  38" in text
    assert "2  skipped   the member opted out of marketing" in text
    assert "median 19.0 s, p95 37.0 s" in text
    assert "Ometria         4  8 a second  25%" in text


def test_report_says_what_to_look_at_next() -> None:
    text = render(MANY)
    assert "3 events came after this run had looked for events" in text
    assert "--state waiting" not in text
    assert "ometria-sync events --workflow reward_claimed --state rejected" in text
    assert "ometria-sync trace e7" in text


def test_report_tells_events_that_wait_for_something_from_those_that_came_later() -> None:
    held = Outcome("waiting", "the rewards call does not answer", 2, "e1")
    text = render(CampaignReport("w", (held,), (), Undone(held=2, new=1)))
    assert "ometria-sync events --workflow w --state waiting: 2 events could not be sent yet, with the reason" in text
    assert "1 event came after this run had looked" in text


def test_report_tells_what_is_in_doubt_and_what_ometria_s_error_log_gained() -> None:
    doubt = Outcome("acknowledged", "Ometria counted 1 of the 3 records of its request as rejected", 3, "e1")
    facts = CampaignFacts(late=(LateWords(2, "Value is not a number", "root > properties > points"),))
    text = render(CampaignReport("w", (doubt, Outcome("acknowledged", None, 4, "e2")), ()), facts)
    assert text.startswith("7 events sent to Ometria and acknowledged (3 in doubt), none left out.")
    assert "Not mailed" not in text
    assert "In doubt\n" in text
    assert "Ometria counted 1 of the 3 records" in text
    assert "Value is not a number  root > properties > points" in text


def test_report_of_nothing_says_so() -> None:
    text = render(CampaignReport("w", (), ()))
    assert text.startswith("Nothing to deliver")
    assert "ometria-sync events --workflow w" in text
    assert "median" not in text


def test_report_of_all_sent_says_that_none_was_left_out() -> None:
    text = render(CampaignReport("w", (Outcome("acknowledged", None, 1, "e"),), (0.5,)))
    assert "1 event sent to Ometria and acknowledged, none left out." in text


def test_report_of_very_many_reasons_is_cut_and_counts_the_rest() -> None:
    many = tuple(Outcome("skipped", f"reason {n}", 1, f"e{n}") for n in range(20))
    text = render(CampaignReport("w", many, ()))
    assert "and 8 more reasons" in text
    assert "reason 12" not in text


@pytest.mark.parametrize(("share", "value"), [(0.5, 2.0), (0.95, 3.0), (0.0, 1.0), (1.0, 3.0)])
def test_percentile_is_a_value_that_occurred(share: float, value: float) -> None:
    assert percentile((1.0, 2.0, 3.0), share) == value
