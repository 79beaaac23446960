"""What a look at the error log shows that the one before did not."""

import random
from collections import Counter

import pytest
from ometria_provider.delivery.error_log import ANYWHERE, OVERLAP, WINDOW, LogEntry, news


def errors(text: str) -> list[LogEntry]:
    return [LogEntry("not a valid value", f"root > {letter}") for letter in text]


def window(log: list[LogEntry], *, newest_first: bool = False) -> list[LogEntry]:
    latest = log[-WINDOW:]
    return latest[::-1] if newest_first else latest


def test_news_of_a_log_that_did_not_move_is_nothing() -> None:
    assert not news(errors("abca"), errors("abca"))
    assert not news([], [])
    full = errors("abcdefghij" * 9 + "klmnopqrst")
    assert not news(full, full)


def test_news_counts_equal_errors_as_often_as_they_came() -> None:
    found = news(errors("aab"), errors("aabaac"))
    assert found.errors == Counter({errors("a")[0]: 2, errors("c")[0]: 1})
    assert not found.unseen


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_news_counts_exactly_while_windows_overlap(seed: int, newest_first: bool) -> None:
    draw = random.Random(seed)
    log = [LogEntry(draw.choice("xyz"), f"root > f{draw.randrange(40)}") for _ in range(draw.randrange(20, 300))]
    came = [LogEntry(draw.choice("xyz"), f"root > f{draw.randrange(40)}") for _ in range(draw.randrange(WINDOW - 20))]
    before = window(log, newest_first=newest_first)
    found = news(before, window(log + came, newest_first=newest_first))
    if len(window(log)) - max(0, len(window(log)) + len(came) - WINDOW) >= OVERLAP:
        assert found.errors == Counter(came)
        assert not found.unseen


def test_news_of_a_window_full_of_other_errors_says_that_some_are_lost() -> None:
    found = news(errors("a" * 30), errors("b" * WINDOW))
    assert found.errors.total() == WINDOW
    assert found.unseen == {ANYWHERE}


def test_news_of_a_full_window_after_an_empty_one_says_that_some_may_be_lost() -> None:
    assert news([], errors("ab" * 50)).unseen == {ANYWHERE}


def test_news_of_a_window_full_of_one_error_says_that_more_of_it_may_have_come() -> None:
    full = errors("a" * WINDOW)
    found = news(full, full)
    assert not found.errors
    assert found.unseen == {"root > a"}
    assert found, "nobody may take it for nothing"


def test_news_of_a_log_that_was_emptied_counts_what_is_there() -> None:
    assert news(errors("abc"), errors("ad")).errors == Counter(errors("d"))
