"""Looks at Ometria's error log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ometria_provider.ledger import error_looks
from ometria_provider.ledger.engine import Ledger

ERROR = ("not a valid value", "root > lastname")
OF = ("ometria_default", "customers")


def test_first_look_is_a_baseline_for_all(ledger: Ledger) -> None:
    assert error_looks.last_look(ledger, OF[0]) is None
    assert error_looks.keep_look(ledger, OF[0], None, [ERROR], [])
    look = error_looks.last_look(ledger, OF[0])
    assert look is not None
    assert look.entries == [ERROR]
    assert not error_looks.keep_look(ledger, OF[0], None, [], []), "somebody was first already"


def test_look_that_another_overtook_does_not_count(ledger: Ledger) -> None:
    error_looks.keep_look(ledger, OF[0], None, [], [])
    seen = error_looks.last_look(ledger, OF[0])
    assert error_looks.keep_look(ledger, OF[0], seen, [ERROR], [(*ERROR, 1)])
    assert not error_looks.keep_look(ledger, OF[0], seen, [ERROR], [(*ERROR, 1)])
    found = error_looks.errors_since(ledger, OF[0], datetime.now(UTC) - timedelta(hours=1))
    assert [(error.path, error.count) for error in found] == [(ERROR[1], 1)], "counted once"
    assert error_looks.errors_since(ledger, OF[0], datetime.now(UTC)) == []


def test_accounts_have_looks_of_their_own(ledger: Ledger) -> None:
    error_looks.keep_look(ledger, "one", None, [ERROR], [])
    assert error_looks.last_look(ledger, "two") is None


def test_words_are_the_latest_for_a_path(ledger: Ledger) -> None:
    error_looks.keep_look(ledger, OF[0], None, [], [])
    for message in ("old", "new"):
        error_looks.keep_look(
            ledger, OF[0], error_looks.last_look(ledger, OF[0]), [], [(message, ERROR[1], 1), ("", ERROR[1], 0)]
        )
    assert error_looks.words(ledger, OF[0], [ERROR[1], "other"]) == {ERROR[1]: "new"}
