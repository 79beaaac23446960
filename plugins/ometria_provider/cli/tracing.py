"""Put into words where one contact or event stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ometria_provider.text import moment, table

if TYPE_CHECKING:
    from ometria_provider.ledger.events import Delivery
    from ometria_provider.ledger.refusals import Refusal
    from ometria_provider.ledger.trace import Standing, Trace

_MEANING = {
    "accepted": "Ometria has its latest record",
    "pending": "Ometria acknowledged its record, but counted rejected records in the same request",
    "rejected": "not delivered",
    "filtered": "left out on purpose",
    "departed": "it left; when it comes back, it is sent anew",
}


_BECAME = {
    "waiting": "the next run delivers it",
    "sending": "it was on its way when its run ended: it goes again under the same id",
    "acknowledged": "Ometria has it",
    "filtered": "left out on purpose",
    "expired": "not mailed",
    "skipped": "not mailed",
    "rejected": "not mailed: `ometria-sync events retry` tries it again once it is mended",
}


def explain(
    trace: Trace, events: Sequence[Delivery] = (), refused: Sequence[Refusal] = (), most: int | None = None
) -> str:
    """Return what the ledger knows of a contact and of events, as text.

    :param events: the contact's, or one event's.
    :param refused: webhooks about the event that were not taken.
    :param most: rejections and events that are told; None: all.
    """
    blocks = [f"Contact {trace.contact_id}"]
    if not trace.known and not events and refused:
        blocks = [f"Event {trace.contact_id}: no webhook about it was taken, and it was not asked for yet."]
    elif not trace.known and events:
        blocks.append("No mapping ever read it; what is known of it are its events.")
    elif not trace.known:
        blocks.append(_never_read(trace))
    else:
        blocks += ["\n".join(_standing(standing)) for standing in trace.standings]
        if trace.rejections:
            rows = [(row.run, row.created_at, row.stage, row.field, row.reason) for row in trace.rejections[:most]]
            blocks.append(
                "Its rejections, the newest first\n"
                + table(("run", "when", "stage", "field", "reason"), rows, indent="  ")
                + _more(trace.rejections, most)
            )
    if events:
        blocks += ["Its events, the newest first", *("\n".join(_delivery(each)) for each in events[:most])]
        blocks += filter(None, [_more(events, most).strip("\n")])
    if refused:
        told = [(one.refused_at, one.account, one.reason) for one in refused]
        blocks.append("Webhooks about it that were refused\n" + table(("when", "for", "why"), told, indent="  "))
    return "\n\n".join(blocks)


def _more(rows: Sequence[object], most: int | None) -> str:
    left = 0 if most is None else len(rows[most:])
    return f"\n  {left:,} more: --all shows them" if left else ""


def _delivery(delivery: Delivery) -> Iterator[str]:
    happened = moment(delivery.occurred_at) if delivery.occurred_at else "at no time that could be read"
    came = "came by webhook" if delivery.source == "webhook" else "was asked for"
    yield f"Event {delivery.event_id} ({delivery.action}, {happened}; {came} {moment(delivery.received_at)})"
    yield f"  {delivery.workflow}: {delivery.state}, {_BECAME[delivery.state]}"
    if delivery.reason:
        yield f"  why          {delivery.reason}"
    yield f"  since        {moment(delivery.updated_at)}" + (f", run {delivery.run_id}" if delivery.run_id else "")
    if delivery.custom_event_id:
        sent = f", in {delivery.attempts} request{'' if delivery.attempts == 1 else 's'}"
        yield f"  last sent    as custom event {delivery.custom_event_id}{sent}"


def _standing(standing: Standing) -> Iterator[str]:
    target = f"collection {standing.collection} on {standing.account}"
    if standing.state == "unknown":
        yield f"{standing.mapping} ({target}): never read. {_last_scan(standing)}"
        return
    yield f"{standing.mapping} ({target}): {standing.state}, {_MEANING.get(standing.state, '?')}"
    if standing.reason:
        yield f"  why          {standing.reason}"
    if standing.since:
        by = f"run {standing.run}" if standing.run else "when the ledger was rebuilt from Ometria"
        yield f"  since        {moment(standing.since)}, {by}"
    if standing.batch:
        batch = standing.batch
        request = batch.request_id or "(Ometria gave none)"
        yield f"  last sent    in batch {batch.id} of run {batch.run}, request id {request}: {batch.state}"
    if standing.suspect:
        yield f"  in doubt     {_doubt(standing.suspect)}; the next run reads it back"
    if standing.snapshot_at:
        yield f"  as read at   {moment(standing.snapshot_at)}"
    if standing.held:
        yield f"  consent      {standing.held}"
    if standing.opted_out_at:
        yield f"  opted out    sent {moment(standing.opted_out_at)}"
    if standing.missed_by:
        yield f"  missing      run {standing.missed_by} missed it; it departs when the next complete scan misses it too"
    yield f"  {_last_scan(standing)}"


def _doubt(suspect: str) -> str:
    if suspect == "*":
        return "its run ended before it looked at Ometria's error log"
    if suspect == "+":
        return "the time for `verify: full` was up before it was read back"
    return f"an error in Ometria's log may be its own ({suspect})"


def _last_scan(standing: Standing) -> str:
    scan = standing.last_scan
    if scan is None:
        return "No complete scan of this mapping has ended yet."
    ended = moment(scan.ended_at) if scan.ended_at else "?"
    return f"Last complete scan: run {scan.run} read {scan.read:,} members, {moment(scan.started_at)} to {ended}."


def _never_read(trace: Trace) -> str:
    lines = ["No mapping ever read a customer with this id."]
    if not trace.standings:
        lines.append("No mapping has run with this ledger: `ometria-sync history` is empty.")
    lines += [f"- {standing.mapping}: {_last_scan(standing)}" for standing in trace.standings]
    lines += [
        "What to check:",
        "- Is it Antavo's customer id? Contacts are known by the mapping's `identity.id`, not by e-mail or card.",
        "- Did it join Antavo after the last complete scan began? Then the next run reads it.",
        "- Is it in another Antavo account or ledger: another connection, another AIRFLOW_HOME?",
    ]
    return "\n".join(lines)
