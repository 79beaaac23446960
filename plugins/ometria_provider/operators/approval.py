"""Ask a person before a run sends anything, through Airflow's human-in-the-loop.

The task parks itself (no worker, no triggerer): Airflow shows it under *Required Actions*, takes the answer there or by
its REST API, and resumes the task with it, or with nothing when the time is up. The text is stored in Airflow's
database: counts and a link, no member.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from ometria_provider.addresses import base_url, run_page
from ometria_provider.delivery.approval import Change, Question, covers, questions, uncovered
from ometria_provider.delivery.limits import Breach
from ometria_provider.exceptions import AwaitingApproval, Halted, Misconfigured
from ometria_provider.ledger import approvals, findings, run_steps, scans
from ometria_provider.ledger.approvals import APPROVED, REFUSED, TIMED_OUT
from ometria_provider.ledger.engine import Ledger
from ometria_provider.operators.base import Work, planned_then
from ometria_provider.text import duration

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

#: What somebody can answer: the words of Airflow's own ApprovalOperator.
YES, NO = "Approve", "Reject"


@dataclass(frozen=True)
class Asking:
    """Who can be asked, as far as one task knows.

    :param anybody: a person can be asked.
    :param resumed: the task goes on after an answer, or after none came in time.
    """

    anybody: bool = False
    resumed: bool = False


def can_ask(work: Work, context: Context) -> bool:
    """Say whether a person can be asked: Airflow's API server takes answers, and somebody is meant to give them.

    A run of `dag.test()` (and of `airflow dags test`) has no API server, and would wait for ever.
    """
    text = work.settings.ask_for_approval
    if text.lower() not in ("true", "false"):
        raise Misconfigured(f"`[ometria] ask_for_approval` is {text!r}: write True or False.")
    is_test = getattr(context.get("dag_run"), "triggering_user_name", None) == "dag_test"
    return text.lower() == "true" and "ti" in context and not is_test


def asked_for(work: Work, broken: Sequence[Breach], concerned: int) -> list[Question]:
    """Return what must be approved in this run; nothing for members whom somebody chose, as limits do not apply."""
    if work.run.is_chosen:
        return []
    return questions(work.mapping.approve, broken, change=_change(work), concerned=concerned)


def _change(work: Work) -> Change | None:
    """Say how the mapping differs from the one that members were sent by last."""
    if work.mapping.approve != "changed_mapping":
        return None
    before = scans.last_let_through(work.ledger, work.run, account=work.account, collection=work.collection)
    if before is None:
        return Change(None)
    then, now = planned_then(before), work.mapping
    if then is None or (then.mapping.digest, then.mapping.departed) != (now.digest, now.departed):
        return Change(before.id)
    return None


def pass_with_approval(work: Work, asked: Sequence[Question], asking: Asking) -> None:
    """Return when everything is approved, or nothing needs to be.

    :raises AwaitingApproval: when a person can be asked, now or still.
    :raises Halted: when nobody can be asked, or the answer was no, or none came in time.
    """
    if not asked:
        return
    given = approvals.find(work.ledger, work.run.id)
    if given and given.answer == APPROVED:
        if not uncovered(asked, given.covers):
            log.info("Approved by %s at %s", given.answered_by, given.answered_at)
            return
        if asking.resumed:
            raise Halted(
                "Nothing was sent: what was to be approved changed while the run waited. Clear `gate` to ask again. "
                + said(asked)
            )
    mapping = work.mapping
    if asking.resumed and given:
        who = (
            f"{given.answered_by} refused it"
            if given.answer == REFUSED
            else f"nobody approved it within {_within(work)}"
        )
        raise Halted(f"Nothing was sent: {who}. {said(asked)}")
    if mapping.approve == "never":
        raise Halted(f"Nothing was sent. {said(asked)}")
    if not asking.anybody:
        raise Halted(f"Nothing was sent. {said(asked)} (Nobody could be asked to approve it here.)")
    approvals.ask(work.ledger, work.run.id, covers(asked), [each.said for each in asked], mapping.approve_within)
    raise AwaitingApproval(
        f"The run waits up to {_within(work)} for a person to approve it in Airflow. "
        + " ".join(each.said for each in asked)
    )


def said(asked: Sequence[Question]) -> str:
    """Return all reasons, each with how to go on."""
    return " ".join(f"{each.said} {each.advice}" for each in asked)


def _within(work: Work) -> str:
    return duration(work.mapping.approve_within.total_seconds())


def keep_answer(ledger: Ledger, run_id: int, event: Mapping[str, Any]) -> None:
    """Write what a person answered, or that nobody did, as Airflow hands it to the resumed task."""
    if "error" in event:
        if event.get("error_type") != "timeout":
            raise Halted(f"Nothing was sent: Airflow could not take an answer ({event.get('error_type')}).")
        approvals.answer(ledger, run_id, TIMED_OUT, by=None)
        return
    user = event.get("responded_by_user") or {}
    name = user.get("name") if isinstance(user, Mapping) else getattr(user, "name", None)
    yes = list(event.get("chosen_options") or ()) == [YES]
    approvals.answer(ledger, run_id, APPROVED if yes else REFUSED, by=name or "somebody")


def park(work: Work, context: Context) -> NoReturn:
    """Show the question in Airflow and give the worker back until it is answered."""
    from airflow.sdk.exceptions import TaskAwaitingInput
    from airflow.sdk.execution_time.hitl import upsert_hitl_detail

    asked = approvals.find(work.ledger, work.run.id)
    upsert_hitl_detail(
        ti_id=context["ti"].id,
        options=[YES, NO],
        subject=f"Run {work.run.id} of mapping {work.mapping.name}: send it to Ometria?",
        body=_body(work, asked.reasons if asked else ()),
        params={},
    )
    raise TaskAwaitingInput(method_name="answered", timeout=work.mapping.approve_within)


def _body(work: Work, reasons: Sequence[str]) -> str:
    """Return the question as Markdown: why it is asked, what would be sent, and where to look."""
    steps = run_steps.in_force(run_steps.steps(work.ledger, work.run.id))
    counts = {
        "to be sent": run_steps.total(steps, "map", "to_send") - run_steps.total(steps, "validate", "rejected"),
        "changed": run_steps.total(steps, "map", "changed"),
        "rejected": findings.newly_rejected(work.ledger, work.run.id, steps),
        "unchanged": run_steps.total(steps, "map", "unchanged"),
    }
    rows = "\n".join(f"- {name}: {count:,}" for name, count in counts.items())
    why = "\n".join(f"- {reason}" for reason in reasons)
    page = base_url() + run_page(work.run.id, "/changes")
    return (
        f"{why}\n\nMembers of this run:\n\n{rows}\n\n[What it would change, before and after]({page})\n\n"
        f"{YES}: everything is sent. {NO}, or no answer within {_within(work)}: nothing is sent, the run is halted and "
        "red, and the next one is free to start."
    )
