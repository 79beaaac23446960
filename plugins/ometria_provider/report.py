"""The report of one run, as plain data; :func:`report_text.render` makes it a page of text.

The DAG's last task logs it, `make run` and `ometria-sync show RUN` print it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from ometria_provider.ledger import approvals, history, runs, undelivered
from ometria_provider.ledger.approvals import ApprovalRow
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.history import BatchRow, RejectionGroup, RuleRow, RunRow
from ometria_provider.ledger.runs import WHOLE_RUN, StepRow, total

#: The steps of a run, in their order.
STEPS = ("plan", "extract", "map", "validate", "gate", "push", "reconcile", "report")

#: Which API a step talks to. Plan asks both, and its few requests are counted with Antavo's.
APIS = {"Antavo": ("plan", "extract", "gate"), "Ometria": ("push",), "Ometria, reading": ("reconcile",)}


@dataclass(frozen=True)
class BookCounts:
    """Where the members of a run ended.

    :param new: rejected members that this run rejected itself; `remembered` ones were rejected before.
    :param to_send: records that were ready to be sent.
    :param already: records of `accepted` that an earlier attempt of this run had sent.
    """

    read: int
    unchanged: int
    filtered: int
    rejected: int
    new: int
    remembered: int
    to_send: int
    sent: int
    accepted: int
    already: int
    pending: int


@dataclass(frozen=True)
class StepTime:
    """One step, its slices together.

    :param seconds: from the first start to the last end; None while it works.
    """

    step: str
    state: str
    slices: int
    seconds: float | None
    started_at: datetime
    reason: str | None


@dataclass(frozen=True)
class ApiUse:
    """The requests that one API got.

    :param rate: the account's limit, in requests a second; None when no step said.
    :param share: how much of the limit was used while requests were made, 0 to 1.
    """

    api: str
    requests: int
    throttled: int
    retried: int
    rate: float | None
    share: float | None


@dataclass(frozen=True)
class DryRun:
    """What a run would have done.

    :param cleared: members who would lose a value, by remote field.
    :param to_approve: what a real run would ask a person for.
    """

    created: int
    changed: int
    unchanged: int
    rejected: int
    to_send: int
    cleared: dict[str, int]
    to_approve: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Ended:
    """Where some of the members whom a run rejected stand by now.

    :param state: as `ledger.undelivered.Ending` has it.
    :param run: the run that delivered or judged them last.
    """

    members: int
    state: str
    run: int | None
    words: str


@dataclass(frozen=True)
class Departures:
    """Members who left.

    :param done: how many of them the run handled; none in a dry run.
    :param reasons: how many left, by reason.
    :param missing: contacts that were not read for the first time; they stay.
    :param refused: records that Ometria refused.
    """

    done: int
    reasons: dict[str, int]
    missing: int
    refused: int


@dataclass(frozen=True)
class HeldBack:
    """Members whose opt-in did not go, for one reason.

    :param first_ids: a few of their contact ids.
    """

    reason: str
    members: int
    first_ids: tuple[str, ...]


@dataclass(frozen=True)
class LateErrors:
    """One kind of error that Ometria's log gained while records of this run were on their way.

    :param count: how often it came.
    :param unexplained: how many of them no record of this run explains: another sender's, or not found yet.
    """

    message: str
    path: str
    count: int
    unexplained: int


@dataclass(frozen=True)
class Verification:
    """What reading back found.

    :param read_back: contacts that were read.
    :param convicted: records that did not arrive.
    :param unverified: accepted records under suspicion that nobody had the time to read back.
    :param sampled: delivered records that were read field by field, after the mapping changed.
    :param missing: fields that arrived in none of those, each with how many carried it.
    :param overflow: more errors came than the log holds.
    """

    read_back: int
    convicted: int
    unverified: int
    sampled: int
    missing: dict[str, int]
    errors: list[LateErrors]
    unexplained: int
    overflow: bool


@dataclass(frozen=True)
class RunReport:
    """Everything that the ledger knows of one run.

    :param limits: a sentence for each limit or table rule that stopped the run.
    :param remembered_from: the earlier run that shows why remembered members were rejected.
    :param ended: where those whom it rejected stand by now, once anything became of them.
    :param held_back: opt-ins that opting out, or the member's status, held back.
    :param opt_outs: rejected members whose opt-out went alone.
    :param unknown: chosen members whom Antavo does not have; `unknown_ids`: the first thousand.
    :param approval: what it asked a person for, and the answer.
    """

    run: RunRow
    books: BookCounts
    steps: list[StepTime]
    rejections: list[RejectionGroup]
    rules: list[RuleRow]
    apis: list[ApiUse]
    dry_run: DryRun | None
    limits: list[str]
    doubtful: list[BatchRow]
    remembered_from: int | None
    departures: Departures
    ended: list[Ended] = field(default_factory=list)
    held_back: list[HeldBack] = field(default_factory=list)
    opt_outs: int = 0
    unknown: int = 0
    unknown_ids: list[str] = field(default_factory=list)
    verification: Verification | None = None
    approval: ApprovalRow | None = None
    next: list[str] = field(default_factory=list)


def run_report(ledger: Ledger, run_id: int, *, most_followed: int | None = None) -> RunReport:
    """Return what the ledger knows of one run.

    :param most_followed: leave out where those whom it rejected stand by now, if they are more: for who cannot wait.
    :raises UnknownRun: when it knows no such run.
    """
    run = history.run_row(ledger, run_id)
    rows = runs.steps(ledger, run_id)
    books = _books(run, rows, runs.newly_rejected(ledger, run_id, rows))
    report = RunReport(
        run=run,
        books=books,
        steps=step_times(rows),
        rejections=history.rejection_groups(ledger, run_id),
        rules=history.failed_rules(ledger, run_id),
        apis=[use for api, steps in APIS.items() if (use := api_use(api, steps, [*rows, *_farewells(rows)]))],
        dry_run=_dry_run(books, rows) if run.dry_run else None,
        limits=[sentence for row in rows for sentence in row.facts.get("breaches") or ()],
        doubtful=history.doubtful_batches(ledger, run_id),
        departures=_departures(run, rows),
        remembered_from=history.earlier_run_with_rejections(ledger, run) if books.remembered else None,
        ended=_ended(ledger, run) if most_followed is None or books.new <= most_followed else [],
        held_back=_held_back(rows),
        opt_outs=total(rows, "push", "opt_outs"),
        unknown=total(rows, "gate", "unknown"),
        unknown_ids=[id_ for row in rows for id_ in row.facts.get("unknown_ids") or ()],
        verification=_verification(rows),
        approval=approvals.find(ledger, run_id),
    )
    report.next.extend(next_steps(report))
    return report


def _books(run: RunRow, rows: list[StepRow], new: int) -> BookCounts:
    """Return the run's books; those of a run that is not closed yet are what its steps counted so far."""
    is_open = run.ended_at is None
    remembered = total(rows, "map", "remembered")
    return BookCounts(
        read=total(rows, "extract", "read") if is_open else run.read,
        unchanged=total(rows, "map", "unchanged") if is_open else run.unchanged,
        filtered=total(rows, "map", "filtered") if is_open else run.filtered,
        rejected=new + remembered if is_open else run.rejected,
        new=new,
        remembered=remembered,
        # A file of contacts is pushed without a map step: what was sent was to be sent.
        to_send=max(total(rows, "map", "to_send") - total(rows, "validate", "rejected"), run.sent),
        sent=run.sent,
        accepted=_accepted(rows) if is_open else run.accepted,
        already=total(rows, "push", "already"),
        pending=run.pending,
    )


def _ended(ledger: Ledger, run: RunRow) -> list[Ended]:
    """Return where the members stand whom a run rejected; nothing as long as nothing became of them."""
    found = undelivered.ended(ledger, run)
    if all(end.run in (None, run.id) and end.is_open for end in found):
        return []
    counted = sorted(found.items(), key=lambda item: -item[1])
    return [Ended(members, end.state, end.run, end.words(run.id)) for end, members in counted]


def _accepted(rows: list[StepRow]) -> int:
    settled = total(rows, "reconcile", "settled") - total(rows, "reconcile", "convicted_sent")
    return total(rows, "push", "accepted") + settled


def _verification(rows: list[StepRow]) -> Verification | None:
    """Return what reconcile found out, or None when it had nothing to look into."""
    facts = next((row.facts for row in rows if row.step == "reconcile"), {})
    if "read_back" not in facts:
        return None
    counts = {name: facts.get(name, 0) for name in ("read_back", "convicted", "unverified", "sampled", "unexplained")}
    errors = [LateErrors(*error) for error in facts.get("errors", ())]
    return Verification(
        **counts, missing=facts.get("missing", {}), errors=errors, overflow=facts.get("overflow", False)
    )


def _dry_run(books: BookCounts, rows: list[StepRow]) -> DryRun:
    cleared: Counter[str] = Counter()
    for row in rows:
        if row.step == "map":
            cleared.update(row.facts.get("cleared") or {})
    refused, known = total(rows, "validate", "rejected"), total(rows, "validate", "rejected_known")
    return DryRun(
        created=total(rows, "map", "created") - (refused - known),
        changed=total(rows, "map", "changed") - known,
        unchanged=books.unchanged,
        rejected=books.rejected,
        to_send=books.to_send,
        cleared=dict(cleared.most_common()),
        to_approve=[sentence for row in rows for sentence in row.facts.get("to_approve") or ()],
    )


def _departures(run: RunRow, rows: list[StepRow]) -> Departures:
    """Return who left: those who were handled, or would be."""
    handled = next((row.facts for row in rows if "departures" in row.facts), None)
    found = next((row.facts for row in rows if "gone" in row.facts), {"leaving": {}, "gone": {"missing": 0}})
    return Departures(
        done=run.departed or (handled or {}).get("departed", 0),
        reasons=handled["departures"] if handled else found["leaving"],
        missing=found["gone"]["missing"],
        refused=(handled or {}).get("refused", 0),
    )


def _held_back(rows: list[StepRow]) -> list[HeldBack]:
    """Return whose opt-in was held back: by map, and by push when an opt-out came in between."""
    members: Counter[str] = Counter()
    ids: dict[str, list[str]] = {}
    for row in rows:
        for reason, found in (row.facts.get("held_back") or {}).items():
            members[reason] += found["members"]
            ids.setdefault(reason, []).extend(found["first_ids"])
    return [HeldBack(reason, count, tuple(ids[reason][: history.EXAMPLES])) for reason, count in members.most_common()]


def _farewells(rows: list[StepRow]) -> list[StepRow]:
    """Return the pushes of those who left, which reconcile makes, as pushes."""
    return [replace(row, step="push", facts=row.facts["farewells"]) for row in rows if "farewells" in row.facts]


def step_times(rows: Sequence[StepRow]) -> list[StepTime]:
    """Return the steps in their order, each with its slices merged."""
    found = []
    for step in sorted({row.step for row in rows}, key=lambda name: STEPS.index(name) if name in STEPS else 99):
        own = [row for row in rows if row.step == step]
        started = min(row.started_at for row in own)
        ends = [row.ended_at for row in own if row.ended_at is not None]
        seconds = (max(ends) - started).total_seconds() if len(ends) == len(own) else None
        bad = [row for row in own if row.state != "done"]
        worst = next((row for row in bad if row.state != "running"), bad[0] if bad else own[0])
        slices = sum(row.slice != WHOLE_RUN for row in own)
        found.append(StepTime(step, worst.state, slices, seconds, started, worst.reason))
    return found


def api_use(api: str, steps: Sequence[str], rows: Sequence[StepRow]) -> ApiUse | None:
    """Return what one API was asked for by these steps, or None when none of them began."""
    # A reconcile that asked nothing is no news.
    own = [row for row in rows if row.step in steps and (row.step != "reconcile" or row.facts.get("requests"))]
    # Looks at the error log, made beside the push.
    beside = [row for row in rows if row.step == "push"] if "reconcile" in steps else []
    if not own:
        return None
    counts = {
        name: sum(row.facts.get(name, 0) for row in own) + sum(row.facts.get(f"data_{name}", 0) for row in beside)
        for name in ("requests", "throttled", "retried")
    }
    timed = [row for row in own if row.facts.get("rate") and row.facts.get("seconds")]
    rate = next((float(row.facts["rate"]) for row in own if row.facts.get("rate")), None)
    seconds = _covered(timed)
    share = None
    if rate and seconds:
        share = min(sum(row.facts.get("requests", 0) for row in timed) / (seconds * rate), 1.0)
    return ApiUse(api, **counts, rate=rate, share=share)


def _covered(rows: Sequence[StepRow]) -> float:
    """Return for how many seconds at least one of these steps made requests: slices may work side by side."""
    spans = sorted(
        (end - timedelta(seconds=float(row.facts["seconds"])), end)
        for row in rows
        if (end := row.ended_at or row.started_at + timedelta(seconds=float(row.facts["seconds"])))
    )
    covered, until = 0.0, None
    for start, end in spans:
        begin = start if until is None else max(start, until)
        covered += max((end - begin).total_seconds(), 0.0)
        until = end if until is None else max(until, end)
    return covered


def _while_open(run: RunRow) -> list[str]:
    """Return what to do about a run that has not ended."""
    if run.state == runs.AWAITING:
        return [f"Airflow, Required Actions, run {run.run_id} of {run.dag_id}: approve or reject it"]
    if run.state == runs.RUNNING:
        return [f"ometria-sync show {run.id}: again later; the run is still working"]
    return []


def next_steps(report: RunReport) -> list[str]:
    """Return what to look at next, each with the exact command or click."""
    run, books = report.run, report.books
    lines = _while_open(run)
    failed = [step for step in report.steps if step.state == "failed" and step.step != "report"]
    if failed:
        lines.append(f"Airflow, DAG {run.dag_id}, run {run.run_id}: the log of task `{failed[0].step}`")
        lines.append("ometria-sync doctor: checks connections, lists, clocks, files and folders")
        lines.append(
            f"When it is mended, clear `{failed[0].step}` (and what follows it), or start a new run: nothing that was "
            "acknowledged is sent again"
        )
    if run.state == "halted" and not run.sent:
        lines.append(
            "Nothing was sent. When that is meant to go out, change the limit as said above and start a new run"
        )
    if books.new and report.rejections:
        lines.append(f"ometria-sync rejections {run.id}: all that this run rejected, and where they stand now")
        if not run.dry_run and run.ended_at is not None:
            lines.append(f"ometria-sync retry {run.id}: once they are mended, try them again with today's data")
        if first := report.rejections[0].first_ids:
            lines.append(f"ometria-sync trace {first[0]}: where one of them stands")
    if report.departures.refused:
        lines.append(f"ometria-sync rejections {run.id} --stage push: who could not be taken off the list")
    if report.remembered_from is not None:
        lines.append(f"ometria-sync rejections {report.remembered_from}: why members were rejected before this run")
    if books.pending and report.doubtful:
        ids = ", ".join(str(batch.request_id) for batch in report.doubtful if batch.request_id)
        lines.append(f"Ometria's error log, and its support with the request ids {ids or '(none given)'}")
    if (seen := report.verification) and seen.missing:
        lines.append(
            "Ometria, Settings, Custom fields: are these declared, with these IDs? "
            f"{', '.join(seen.missing)} (see the runbook, “Fields did not arrive”)"
        )
    if report.dry_run is not None and run.state == "succeeded":
        lines.append("Start a run without `dry_run` to send this")
    if not lines:
        lines.append(f"ometria-sync history --mapping {run.mapping}: this run beside earlier ones")
        lines.append("ometria-sync trace CUSTOMER: where one member stands")
    return lines


def as_data(report: RunReport) -> Any:
    """Return the report as JSON-able data."""
    import msgspec

    return msgspec.to_builtins(report)


__all__ = ["RunReport", "as_data", "run_report"]
