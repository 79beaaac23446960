"""The books balance, and the colour follows from them."""

from dataclasses import replace

import pytest
from ometria_provider.delivery.books import Books, verdict

GREEN = Books(read=100, unchanged=40, filtered=10, rejected=5, new=3, to_send=45, sent=45, accepted=45, pending=0)


def color(books: Books, *, dry_run: bool = False, failures: tuple[str, ...] = ()) -> str | None:
    return verdict(books, dry_run=dry_run, failures=list(failures), breaches=[])


def test_verdict_of_a_good_run_is_green() -> None:
    assert GREEN.balanced
    assert color(GREEN) is None


def test_verdict_with_a_failed_task_is_red_with_its_words() -> None:
    assert color(GREEN, failures=("Antavo is away.",)) == "Antavo is away."


def test_verdict_with_pending_records_is_red() -> None:
    assert "pending" in str(color(replace(GREEN, accepted=44, pending=1)))


def test_verdict_of_books_that_do_not_balance_is_red() -> None:
    assert "do not balance" in str(color(replace(GREEN, accepted=46)))


@pytest.mark.parametrize(
    "books",
    [
        Books(read=5, unchanged=0, filtered=0, rejected=5, new=5, to_send=0, sent=0, accepted=0, pending=0),
        Books(read=100, unchanged=98, filtered=0, rejected=2, new=2, to_send=2, sent=0, accepted=0, pending=0),
    ],
    ids=["all rejected before the push", "all that was sent rejected"],
)
def test_verdict_when_nothing_arrived_is_red(books: Books) -> None:
    assert "Nothing arrived" in str(color(books))


def test_verdict_of_one_rejection_among_unchanged_members_is_green() -> None:
    one = Books(read=100, unchanged=99, filtered=0, rejected=1, new=1, to_send=0, sent=0, accepted=0, pending=0)
    assert color(one) is None


def test_verdict_of_a_run_with_nothing_to_do_is_green() -> None:
    idle = Books(read=100, unchanged=98, filtered=0, rejected=2, new=0, to_send=0, sent=0, accepted=0, pending=0)
    assert color(idle) is None


def test_verdict_of_a_dry_run_keeps_what_would_be_sent_as_pending() -> None:
    dry = replace(GREEN, sent=0, accepted=0, pending=45)
    assert dry.balanced
    assert color(dry, dry_run=True) is None


def test_verdict_with_a_broken_limit_is_red() -> None:
    assert verdict(GREEN, dry_run=False, failures=[], breaches=["too many"]) == "too many"


def test_columns_of_books_are_those_of_sync_run() -> None:
    accounts = {"read", "unchanged", "filtered", "rejected", "sent", "accepted", "pending"}
    assert set(GREEN.columns()) == accounts | {"departed"}
