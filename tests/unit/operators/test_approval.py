"""Who can be asked, and how an answer is read; whole runs: tests/integration/test_approval.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from ometria_provider.exceptions import Halted, Misconfigured
from ometria_provider.ledger import approvals, runs
from ometria_provider.ledger.engine import Ledger
from ometria_provider.operators.approval import can_ask, keep_answer

PERSON = {"ti": SimpleNamespace(id="0198"), "dag_run": SimpleNamespace(triggering_user_name="ann")}


def _can_ask(text: str, context: dict[str, Any]) -> bool:
    work: Any = SimpleNamespace(settings=SimpleNamespace(ask_for_approval=text))
    return can_ask(work, context)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "context", "expected"),
    [
        ("True", PERSON, True),
        ("true", PERSON, True),
        ("False", PERSON, False),
        ("True", {}, False),
        ("True", PERSON | {"dag_run": SimpleNamespace(triggering_user_name="dag_test")}, False),
    ],
    ids=["somebody", "in small letters", "nobody by configuration", "no task of Airflow's", "dag.test()"],
)
def test_person_can_be_asked_where_airflow_takes_answers(text: str, context: dict[str, Any], expected: bool) -> None:
    assert _can_ask(text, context) is expected


def test_option_that_is_neither_true_nor_false_is_refused() -> None:
    with pytest.raises(Misconfigured, match=r"`\[ometria\] ask_for_approval` is 'perhaps'"):
        _can_ask("perhaps", PERSON)


@pytest.mark.parametrize(
    ("event", "kept"),
    [
        ({"chosen_options": ["Approve"], "responded_by_user": {"id": "1", "name": "ann"}}, ("approved", "ann")),
        ({"chosen_options": ["Reject"], "responded_by_user": {"id": "1", "name": "ann"}}, ("refused", "ann")),
        ({"chosen_options": [], "responded_by_user": None}, ("refused", "somebody")),
        ({"error": "late", "error_type": "timeout"}, ("timed_out", None)),
    ],
)
def test_answer_is_kept_and_only_approve_approves(
    sqlite_ledger: Ledger, event: dict[str, Any], kept: tuple[str, str | None]
) -> None:
    run = runs.open_run(sqlite_ledger, dag_id="d", run_id="r", mapping="m", dry_run=False).id
    approvals.ask(sqlite_ledger, run, {"always": 1}, ["Every run."], timedelta(hours=1))
    keep_answer(sqlite_ledger, run, event | {"responded_at": datetime.now(UTC)})
    found = approvals.find(sqlite_ledger, run)
    assert found
    assert (found.answer, found.answered_by) == kept


def test_answer_that_airflow_could_not_take_halts(sqlite_ledger: Ledger) -> None:
    with pytest.raises(Halted, match="validation"):
        keep_answer(sqlite_ledger, 1, {"error": "x", "error_type": "validation"})
