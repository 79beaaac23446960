"""Push records to Ometria: one slice of a contact sync, or a file of contacts from anybody's own DAG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ometria_provider.delivery.batches import Outgoing
from ometria_provider.ledger import contacts, runs
from ometria_provider.operators.antavo import ometria_hook
from ometria_provider.operators.base import SyncOperator, Work
from ometria_provider.operators.sender import Sender, Target, close_interrupted

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Actions of map that are remembered in the ledger though nothing is sent.
_STATES = {"filtered": "filtered", "rejected": "rejected", "unchanged": "accepted"}


class OmetriaPushOperator(SyncOperator):
    """Push one slice's records, as the gate let them through."""

    step = "push"

    def work(self, work: Work, facts: dict[str, Any], context: Context) -> None:  # noqa: ARG002 (the base's signature)
        """Send what is to be sent and was not acknowledged yet; keep the states of those who need nothing sent."""
        chunks = work.files.read_manifest("validate") and work.files.read_manifest("map")["chunks"]
        if work.run.dry_run:
            self.log.info("A dry run: nothing is sent")
            return
        newer = runs.superseded_by(work.ledger, work.run, account=work.account, collection=work.collection)
        if newer is not None:
            self.log.info(
                "Run %s has compared these members since: what this run holds is older, nothing is sent", newer
            )
        push = _SlicePush(work, facts)
        with push.measured():
            for index, chunk in enumerate(chunks):
                if chunk["mapped"]:
                    push.chunk(index, datetime.fromisoformat(chunk["snapshot_at"]), stale=newer is not None)


class _SlicePush:
    """The push of one slice, chunk by chunk."""

    def __init__(self, work: Work, facts: dict[str, Any]) -> None:
        self.work, self.facts = work, facts
        self.hook = ometria_hook(work.ledger, work.account)
        self.target = Target(work.account, work.collection, work.run.id, work.slice)
        self.sender = Sender(work.ledger, self.hook, self.target)
        self.refused = {
            int(chunk): dict(rows) for chunk, rows in work.files.read_manifest("validate")["refused"].items()
        }
        self.counts: Counter[str] = Counter()

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Keep the push's counts in the ledger, whether it ends well or not."""
        close_interrupted(self.work.ledger, self.target)
        started = monotonic()
        try:
            yield
        finally:
            doubtful = runs.count_records(self.work.ledger, self.work.run.id, "doubtful", slice_=self.target.slice)
            delivered = self.counts["already"] + self.sender.tally.acknowledged
            self.facts.update(
                accepted=delivered - doubtful,
                already=self.counts["already"],
                superseded=self.counts["superseded"],
                rejected=self.sender.tally.rejected,
                doubtful=doubtful,
                rate=self.hook.push_requests_per_second,
                seconds=round(monotonic() - started, 3),
                **asdict(self.hook.usage),
            )

    def chunk(self, index: int, snapshot_at: datetime, *, stale: bool) -> None:
        """Push one chunk."""
        table = self.work.files.read_chunk("map", index)
        refused = self.refused.get(index, {})
        if not stale:
            self._keep_states(table, refused)
        self.sender.send(self._outgoing(table, refused, snapshot_at, stale=stale), snapshot_at)

    def _outgoing(
        self, table: pa.Table, refused: dict[int, str], snapshot_at: datetime, *, stale: bool
    ) -> Iterator[Outgoing]:
        """Yield the records to send, leaving out what was acknowledged or refused before this task was cleared."""
        sends = [
            row for row, action in enumerate(table["action"].to_pylist()) if action == "send" and row not in refused
        ]
        part = table.take(sends).select(["contact_id", "body", "fingerprint", "source_digest", "filled"])
        work = self.work
        known = contacts.known_contacts(work.ledger, work.account, work.collection, part["contact_id"].to_pylist())
        for values in zip(*(column.to_pylist() for column in part.columns), strict=True):
            record = Outgoing(*values)
            done = _done(known.get(record.contact_id), record, snapshot_at, work.run.id) or (
                "superseded" if stale else None
            )
            if done is None:
                yield record
            else:
                self.counts[done] += 1

    def _keep_states(self, table: pa.Table, refused: dict[int, str]) -> None:
        """Write what became of members who are not sent: only now, behind the gate, does a rejection count as old."""
        now, work = datetime.now(UTC), self.work
        columns = ("contact_id", "action", "touched", "source_digest", "reason")
        rows = []
        for row, (id_, action, touched, digest, reason) in enumerate(
            zip(*(table[name].to_pylist() for name in columns), strict=True)
        ):
            why = refused.get(row)
            state = "rejected" if why else _STATES.get(action)
            if state and (touched or why) and id_:
                rows.append(
                    {
                        "account": work.account,
                        "collection": work.collection,
                        "contact_id": id_,
                        "state": state,
                        "reason": why or (None if action == "unchanged" else reason),
                        "source_digest": digest,
                        "snapshot_at": None,
                        "sync_run_id": work.run.id,
                        "changed_at": now,
                    }
                )
        if rows:
            with work.ledger.write() as connection:
                contacts.write_states(work.ledger, connection, rows, ("state", "reason", "source_digest"))


def _done(known: contacts.Known | None, record: Outgoing, snapshot_at: datetime, run_id: int) -> str | None:
    """Return why a record need not be sent: an earlier attempt of this run dealt with it, or it is out of date."""
    if known is None:
        return None
    own = known.sync_run_id == run_id
    if own and known.fingerprint == record.fingerprint and known.state in {"pending", "accepted"}:
        return "already"
    if own and known.state == "rejected" and known.source_digest == record.source_digest:
        return "refused"
    if known.snapshot_at is not None and known.snapshot_at > snapshot_at:
        return "superseded"
    return None


__all__: Sequence[str] = ("OmetriaPushOperator",)
