"""An incident in words that fit into a mail and a chat: the facts, three reasons, and where to look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ometria_provider.addresses import airflow_dag, airflow_run, run_page
from ometria_provider.attention import APPROVAL, CAMPAIGN, KINDS, SYNC
from ometria_provider.hooks.alerts import Kind
from ometria_provider.ledger.history import RunRow
from ometria_provider.ledger.incidents import IncidentRow
from ometria_provider.ledger.rejections import RejectionGroup
from ometria_provider.text import moment

#: Reasons of rejections that an alert names, and letters of any text in it: a broken file has pages of errors.
REASONS, LETTERS = 3, 1_000


@dataclass(frozen=True)
class Facts:
    """What an alert is made of.

    :param name: the mapping's name, or the Antavo connection's.
    :param run: the run that the incident, or its end, is about.
    :param rejections: its rejections by reason, the most frequent first.
    :param is_green: the sync finished green since; else what was wrong has gone in another way, such as with its file.
    :param base_url: of Airflow's pages, without a slash at its end.
    """

    incident: IncidentRow
    name: str
    run: RunRow | None
    rejections: Sequence[RejectionGroup]
    is_green: bool
    base_url: str


@dataclass(frozen=True)
class Alert:
    """What people get to read. No member's data is in it, ids neither."""

    title: str
    body: str
    kind: Kind


def alert(facts: Facts) -> Alert:
    """Return what to tell of an incident's beginning, or of its end."""
    over = facts.incident.over_at is not None
    lines = [
        _over(facts) if over else _cut(facts.incident.words),
        "",
        *_facts(facts),
        *([] if over else _rejections(facts)),
    ]
    lines += _links(facts)
    if not over:
        lines.append(f"What to do: runbook, “{KINDS[facts.incident.kind]}”")
    kind: Kind = "success" if over else "warning" if facts.incident.topic == APPROVAL else "failure"
    return Alert(_title(facts, over=over), "\n".join(lines), kind)


def _title(facts: Facts, *, over: bool) -> str:
    name, incident = facts.name, facts.incident
    if incident.topic == CAMPAIGN:
        return f"Ometria campaigns of {name} are {'in time again' if over else 'late'}"
    if incident.topic == APPROVAL:
        return f"Ometria sync {name}: run {incident.sync_run_id} {'is decided' if over else 'waits for approval'}"
    if incident.kind == "broken" and not (over and facts.is_green):
        return f"Ometria sync {name}: its mapping file {'is whole again, or gone' if over else 'is broken'}"
    if over:
        return f"Ometria sync {name} is {'green again' if facts.is_green else 'no longer watched'}"
    how = "is late" if incident.kind == "stale" else f"is red: {facts.run.state if facts.run else 'failed'}"
    return f"Ometria sync {name} {how}"


def _over(facts: Facts) -> str:
    incident = facts.incident
    span = f"from {moment(incident.opened_at)} to {moment(incident.over_at or incident.opened_at)}"
    if incident.topic == SYNC and incident.kind != "broken" and not facts.is_green:
        return f"Its mapping file or its schedule is gone, so nobody waits for it any more. Was wrong {span}."
    return f"It is over. It lasted {span}."


def _facts(facts: Facts) -> list[str]:
    what = "Antavo connection" if facts.incident.topic == CAMPAIGN else "Mapping"
    lines = [f"{what}: {facts.name}"]
    if run := facts.run:
        lines.append(f"State: {run.state.replace('_', ' ')} (run {run.id}, started {moment(run.started_at)})")
        counts = ("read", "unchanged", "filtered", "rejected", "sent", "accepted", "pending", "departed")
        lines.append("Members: " + ", ".join(f"{getattr(run, name):,} {name}" for name in counts))
    return lines


def _rejections(facts: Facts) -> list[str]:
    top = facts.rejections[:REASONS]
    return [
        f"Rejected: {group.members:,} × {f'{group.field}: ' if group.field else ''}{_cut(group.reason)} ({group.stage})"
        for group in top
    ]


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS else text[: LETTERS - 1].rstrip() + "…"


def _links(facts: Facts) -> list[str]:
    base, dag_id = facts.base_url, facts.incident.dag_id
    if (run := facts.run) is None:
        return [f"DAG: {base}{airflow_dag(dag_id)}"]
    return [f"Run: {base}{run_page(run.id)}", f"In Airflow: {base}{airflow_run(dag_id, run.run_id)}"]


__all__ = ["Alert", "Facts", "alert"]
