"""What became of a workflow's events in one run, as data and as a page of plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ometria_provider.ledger.campaign_facts import CampaignFacts, LateWords
from ometria_provider.ledger.campaign_runs import Outcome, Undone, delays, outcomes, undone
from ometria_provider.ledger.deliveries import ACKNOWLEDGED, REJECTED, STATES, UNDONE
from ometria_provider.ledger.engine import Ledger
from ometria_provider.report_text import requests_section
from ometria_provider.text import duration, table

#: Reasons shown; `ometria-sync events` has them all.
_MOST_REASONS = 12


@dataclass(frozen=True)
class CampaignReport:
    """What runs made of one workflow's events.

    :param outcomes: what it wrote down last of each event.
    :param delays: seconds from what happened to its acknowledgement, ascending.
    :param left: events that are still to be delivered, by now.
    """

    workflow: str
    outcomes: tuple[Outcome, ...]
    delays: tuple[float, ...]
    left: Undone = field(default_factory=lambda: Undone(0, 0))

    def count(self, *states: str) -> int:
        """Return how many events stand there."""
        return sum(outcome.events for outcome in self.outcomes if outcome.state in states)

    @property
    def not_mailed(self) -> tuple[Outcome, ...]:
        """Return what has a reason for not being mailed, so far or at all."""
        return tuple(each for each in self.outcomes if each.reason is not None and each.state != ACKNOWLEDGED)

    @property
    def in_doubt(self) -> tuple[Outcome, ...]:
        """Return the acknowledged events of which Ometria's answer leaves it in doubt whether it took them."""
        return tuple(each for each in self.outcomes if each.reason is not None and each.state == ACKNOWLEDGED)

    @property
    def started(self) -> int:
        """Return for how many events Ometria acknowledged the custom event."""
        return self.count(ACKNOWLEDGED)


def campaign_report(
    ledger: Ledger, account: str, workflow: str, *run_ids: str, since: datetime | None = None
) -> CampaignReport:
    """Return the report of one run, or of several together.

    :param account: the Antavo connection.
    :param run_ids: Airflow's ids of the runs.
    :param since: only of what they wrote down from then on.
    """
    return CampaignReport(
        workflow,
        tuple(outcomes(ledger, run_ids, workflow, since=since)),
        tuple(delays(ledger, run_ids, workflow, since=since)),
        undone(ledger, account, workflow),
    )


def percentile(ascending: Sequence[float], share: float) -> float:
    """Return the smallest of the values that at least such a share of them does not exceed."""
    return ascending[max(math.ceil(share * len(ascending)), 1) - 1]


def render(report: CampaignReport, facts: CampaignFacts | None = None) -> str:
    """Return the report as text, one section for each question that people ask.

    :param facts: what its runs found beside, if they are to be told here.
    """
    sections = (
        headline(report),
        _events(report),
        _reasons("Not mailed", report.not_mailed),
        _reasons("In doubt", report.in_doubt),
        _delay(report),
        of_run(facts) if facts else "",
        _next(report),
    )
    return "\n\n".join(section for section in sections if section)


def of_run(facts: CampaignFacts) -> str:
    """Return what runs found beside what became of each event, as text; empty when that is nothing."""
    late = ""
    if facts.late:
        late = "New in Ometria's error log, and perhaps about these events\n" + table(
            LateWords._fields, facts.late, indent="  "
        )
    return "\n\n".join(section for section in (late, requests_section(facts.apis)) if section)


def headline(report: CampaignReport) -> str:
    """Say in a sentence what the run did."""
    seen = report.count(*STATES)
    if not seen:
        return "Nothing to deliver: no event waited, and none came."
    said = f"{_events_of(report.started)} sent to Ometria and acknowledged"
    if doubtful := sum(each.events for each in report.in_doubt):
        said += f" ({doubtful:,} in doubt)"
    rest = [f"{count:,} {state}" for state in STATES if state != ACKNOWLEDGED and (count := report.count(state))]
    return f"{said}; {', '.join(rest)}." if rest else f"{said}, none left out."


def _events_of(count: int) -> str:
    return f"{count:,} {'event' if count == 1 else 'events'}"


def _events(report: CampaignReport) -> str:
    rows = [(state, count) for state in STATES if (count := report.count(state))]
    return "Events\n" + table(("", ""), rows, indent="  ") if rows else ""


def _reasons(title: str, told: Sequence[Outcome]) -> str:
    if not told:
        return ""
    rows = [(each.events, each.state, each.reason, each.example) for each in told[:_MOST_REASONS]]
    more = len(told) - len(rows)
    text = f"{title}\n" + table(("events", "state", "reason", "such as"), rows, indent="  ")
    return f"{text}\n  and {more} more reasons" if more else text


def _delay(report: CampaignReport) -> str:
    if not report.delays:
        return ""
    half, most = percentile(report.delays, 0.5), percentile(report.delays, 0.95)
    return f"From what happened to its acknowledgement\n  median {duration(half)}, p95 {duration(most)}"


def _next(report: CampaignReport) -> str:
    lines = []
    by_state = f"ometria-sync events --workflow {report.workflow} --state"
    if report.left.held:
        lines.append(
            f"{by_state} waiting: {_events_of(report.left.held)} could not be sent yet, with the reason; "
            "every run tries again, until they are too old to be mailed"
        )
    if report.left.new:
        lines.append(
            f"{_events_of(report.left.new)} came after this run had looked for events: the next run, within a minute, "
            "sends them; nothing to do"
        )
    if report.count(REJECTED):
        lines.append(f"{by_state} rejected: what must be mended, each with the field")
        lines.append(f"ometria-sync events retry --workflow {report.workflow}: deliver them again when it is")
    told = next((each for each in report.not_mailed if each.state not in UNDONE), None)
    if told:
        lines.append(f"ometria-sync trace {told.example}: why one of them was not mailed")
    if not lines:
        lines.append(f"ometria-sync events --workflow {report.workflow}: what became of each event")
    return "What to look at next\n" + "\n".join(f"  - {line}" for line in lines)
