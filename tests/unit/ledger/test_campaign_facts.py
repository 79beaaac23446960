from __future__ import annotations

from ometria_provider.ledger import campaign_facts
from ometria_provider.ledger.campaign_facts import ApiUse, CampaignFacts, LateWords
from ometria_provider.ledger.engine import Ledger

ACCOUNT = "antavo_default"
ASKED = (ApiUse("Antavo", 7, 0, 0, 25.0, None), ApiUse("Ometria", 4, 1, 2, 8.0, 0.25))
WORDS = LateWords(2, "not a number", "root > properties > points")


def test_what_a_run_found_is_known_by_its_connection_and_run(ledger: Ledger) -> None:
    found = CampaignFacts(ASKED, (WORDS,))
    campaign_facts.write(ledger, ACCOUNT, "scheduled__1", found)
    campaign_facts.write(ledger, "antavo_other", "scheduled__1", CampaignFacts())
    assert campaign_facts.facts_of(ledger, ACCOUNT, ["scheduled__1"]) == found
    assert campaign_facts.facts_of(ledger, ACCOUNT, ["scheduled__2"]) == CampaignFacts()


def test_next_attempt_of_a_run_takes_the_place_of_the_one_before(ledger: Ledger) -> None:
    for found in (CampaignFacts(ASKED, (WORDS,)), CampaignFacts(ASKED[:1])):
        campaign_facts.write(ledger, ACCOUNT, "scheduled__1", found)
    assert campaign_facts.facts_of(ledger, ACCOUNT, ["scheduled__1"]) == CampaignFacts(ASKED[:1])


def test_of_several_runs_late_errors_are_added_up_and_the_last_one_s_requests_count(ledger: Ledger) -> None:
    campaign_facts.write(ledger, ACCOUNT, "first", CampaignFacts(ASKED, (WORDS,)))
    campaign_facts.write(ledger, ACCOUNT, "second", CampaignFacts(ASKED[1:], (WORDS, LateWords(1, "gone", "root"))))
    found = campaign_facts.facts_of(ledger, ACCOUNT, ["first", "second"])
    assert found == CampaignFacts(ASKED[1:], (WORDS._replace(times=4), LateWords(1, "gone", "root")))
