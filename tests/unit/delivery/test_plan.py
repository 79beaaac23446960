from dataclasses import dataclass

import pytest
from ometria_provider.delivery.plan import chosen_sentence, list_problem, plan_sentence

SHARED = {"requests_per_minute": 1500.0, "push_requests_per_second": 8.0}


def test_plan_sentence_for_a_million_gives_requests_and_minutes() -> None:
    assert plan_sentence(members=1_000_000, slices=20, **SHARED) == (
        "A complete scan of about 1,000,000 members in 20 slices: about 1,040 requests to Antavo (under a minute at "
        "1,500 a minute); about 10,000 requests to Ometria (21 minutes at 8 a second) if nobody is unchanged."
    )


def test_plan_sentence_at_a_slow_rate_rounds_minutes_up() -> None:
    sentence = plan_sentence(members=61_000, slices=2, requests_per_minute=30.0, push_requests_per_second=0.5)
    assert "about 65 requests to Antavo (3 minutes at 30 a minute)" in sentence
    assert "about 610 requests to Ometria (21 minutes at 0.5 a second)" in sentence


def test_plan_sentence_of_a_dry_run_sends_nothing() -> None:
    sentence = plan_sentence(members=2_000, slices=1, dry_run=True, **SHARED)
    assert "in 1 slice: about 4 requests to Antavo" in sentence
    assert sentence.endswith("nothing is sent: a dry run.")


@pytest.mark.parametrize("dry_run", [False, True])
def test_plan_sentence_when_nobody_can_count_promises_no_number(dry_run: bool) -> None:
    sentence = plan_sentence(members=None, slices=3, dry_run=dry_run, **SHARED)
    assert "3 slices" in sentence
    assert ("sends nothing" in sentence) is dry_run
    assert "None" not in sentence


def test_plan_sentence_for_nobody_needs_a_request_to_find_out() -> None:
    assert "about 0 members in 1 slice: about 3 requests" in plan_sentence(members=0, slices=1, **SHARED)


def test_chosen_sentence_by_id_costs_a_request_each() -> None:
    assert chosen_sentence(chosen=3, members=1_000_000, slices=1, by_scan=False, **SHARED) == (
        "The run reads 3 chosen customers, each by its id: about 3 requests to Antavo (under a minute at 1,500 a "
        "minute); about 1 request to Ometria (under a minute at 8 a second) if nobody is unchanged."
    )


def test_chosen_sentence_by_scan_costs_the_scan_and_sends_the_chosen() -> None:
    sentence = chosen_sentence(chosen=1, members=2_000, slices=1, by_scan=True, dry_run=True, **SHARED)
    assert sentence == (
        "The run reads 1 chosen customer by a complete scan of about 2,000 members in 1 slice, about 4 requests to "
        "Antavo (under a minute at 1,500 a minute); nothing is sent: a dry run."
    )
    sentence = chosen_sentence(chosen=1, members=None, slices=2, by_scan=True, **SHARED)
    assert "a number of members that nobody knows yet" in sentence


@dataclass
class List:
    type: str


@pytest.mark.parametrize(
    ("found", "words"),
    [(None, "has no such list"), (List("DYNAMIC"), "is a dynamic segment"), (List("dynamic"), "is a dynamic segment")],
)
def test_list_problem_names_file_list_and_next_step(found: List | None, words: str) -> None:
    problem = list_problem(found, mapping="customers", list_id=4821, connection="ometria_default")
    assert problem is not None
    assert "customers.yaml names list 4821" in problem
    assert words in problem
    assert "`ometria-sync lists`" in problem


def test_list_problem_of_a_static_list_is_none() -> None:
    assert list_problem(List("STATIC"), mapping="customers", list_id=4821, connection="ometria_default") is None


def test_plan_sentence_says_what_details_cost() -> None:
    sentence = plan_sentence(members=100_000, slices=2, details=60_000, **SHARED)
    assert "104 requests to Antavo (under a minute at 1,500 a minute) and about 60,000 requests for details" in sentence
    assert "for details (40 minutes more) and one more for each other member who changed;" in sentence
    assert "about 0 requests for details" in plan_sentence(members=5, slices=1, details=0, **SHARED)
    assert "for details (under a minute more);" in plan_sentence(members=5, slices=1, details=5, **SHARED)
    assert "asks Antavo for the details" in plan_sentence(members=None, slices=1, details=0, **SHARED)
    assert "detail" not in plan_sentence(members=5, slices=1, **SHARED)


@pytest.mark.parametrize("by_scan", [False, True])
def test_chosen_sentence_says_that_details_are_asked_for_each(by_scan: bool) -> None:
    sentence = chosen_sentence(chosen=3_000, members=9_000, slices=1, by_scan=by_scan, details=10, **SHARED)
    assert "and about 3,000 requests for details (2 minutes more);" in sentence
