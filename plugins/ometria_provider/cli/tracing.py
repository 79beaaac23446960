"""Put into words where one contact stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ometria_provider.text import moment, table

if TYPE_CHECKING:
    from ometria_provider.ledger.trace import Standing, Trace

_MEANING = {
    "accepted": "Ometria has its latest record",
    "pending": "Ometria acknowledged its record, but counted rejected records in the same request",
    "rejected": "not delivered",
    "filtered": "left out on purpose",
    "departed": "it left; when it comes back, it is sent anew",
}


def explain(trace: Trace) -> str:
    """Return what the ledger knows of a contact, as text."""
    blocks = [f"Contact {trace.contact_id}"]
    if not trace.known:
        blocks.append(_never_read(trace))
    else:
        blocks += ["\n".join(_standing(standing)) for standing in trace.standings]
        if trace.rejections:
            rows = [(row.run, row.created_at, row.stage, row.field, row.reason) for row in trace.rejections]
            blocks.append(
                "Its rejections, the newest first\n"
                + table(("run", "when", "stage", "field", "reason"), rows, indent="  ")
            )
    return "\n\n".join(blocks)


def _standing(standing: Standing) -> Iterator[str]:
    target = f"collection {standing.collection} on {standing.account}"
    if standing.state == "unknown":
        yield f"{standing.mapping} ({target}): never read. {_last_scan(standing)}"
        return
    yield f"{standing.mapping} ({target}): {standing.state}, {_MEANING.get(standing.state, '?')}"
    if standing.reason:
        yield f"  why          {standing.reason}"
    if standing.since:
        yield f"  since        {moment(standing.since)}, run {standing.run}"
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
