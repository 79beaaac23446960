"""Send records in batches, several requests in flight, with the ledger as the checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any, ClassVar

from sqlalchemy import Connection, update

from ometria_provider.delivery.batches import Batch, Outgoing, batches, body
from ometria_provider.delivery.consent import opts_out
from ometria_provider.delivery.digests import digest
from ometria_provider.delivery.poison import PoisonWatch
from ometria_provider.exceptions import RecordRejected
from ometria_provider.hooks.ometria_answers import PushAnswer
from ometria_provider.ledger import batches as push_batches
from ometria_provider.ledger import contacts, findings
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import PushBatch
from ometria_provider.operators.dispatcher import Answered, Dispatcher

log = logging.getLogger(__name__)

#: Seconds between two lines of progress.
PROGRESS = 5.0


@dataclass(frozen=True)
class Target:
    """Where records go, and on whose account in the ledger.

    :param list_id: the list that the records put their contacts on.
    """

    account: str
    collection: str
    run_id: int
    slice: int
    list_id: int | None = None


@dataclass
class Tally:
    """What became of the records that a sender was given."""

    acknowledged: int = 0
    doubtful: int = 0
    rejected: int = 0


@dataclass
class Sender(Dispatcher[Outgoing]):
    """Pushes records to one collection.

    Before a batch goes, and when its answer came, it is written to the ledger: the answers that arrived and the
    batches that go next share one transaction. A sender that is killed has lost no acknowledged record's
    fingerprint, so whoever goes on sends at most the requests that were in flight again.
    """

    ledger: Ledger
    target: Target
    tally: Tally = field(default_factory=Tally)
    #: Records that Ometria refused alone, and that opt their members out.
    opt_outs: list[Outgoing] = field(default_factory=list)

    kind: ClassVar[str] = "contacts"

    def __post_init__(self) -> None:
        # What an earlier attempt, or another slice, got through says as much as what this one does.
        through = push_batches.count_records(self.ledger, self.target.run_id, "acknowledged", "doubtful")
        self.watch = PoisonWatch(acknowledged=through > 0)
        self._snapshot_at: datetime | None = None
        self._details_at: datetime | None = None
        self._told = monotonic()

    def send(
        self, records: Sequence[Outgoing], snapshot_at: datetime | None, details_at: datetime | None = None
    ) -> None:
        """Send records until each is acknowledged or rejected.

        :param snapshot_at: when the members were read; an older snapshot never overwrites a newer one.
        :param details_at: when their details were read; None: they have none.
        :raises Retryable: when the server stays out of reach; what was acknowledged by then is kept.
        :raises Misconfigured: when the key is refused.
        :raises Halted: when every record is refused alone, so that the fault is not in the records.
        """
        self._snapshot_at, self._details_at = snapshot_at, details_at
        self.dispatch(batches(records))
        self._reject(self.watch.verdicts())

    def write(self, answered: Sequence[Answered[Outgoing]], going: Sequence[Batch]) -> list[tuple[int, bytes]]:
        """Write answers and departures in one transaction; return the departing batches' ids and request bodies."""
        verdicts, halt = self.judge(answered)
        going = [] if halt else going

        def write(connection: Connection) -> list[tuple[int, bytes]]:
            for id_, batch, outcome in answered:
                self._write_answer(connection, id_, batch, outcome)
            for batch in going:
                self._mark_opt_outs(connection, batch)
            return [self._write_departure(connection, batch) for batch in going]

        departed = self.ledger.transact(write)
        self._count(answered)
        self._reject(verdicts)
        if halt:
            raise halt
        self._progress()
        return departed

    def _write_departure(self, connection: Connection, batch: Batch) -> tuple[int, bytes]:
        payload = body(batch)
        id_ = push_batches.depart(
            self.ledger,
            connection,
            run_id=self.target.run_id,
            slice_=self.target.slice,
            records=len(batch),
            size=len(payload),
            kind=self.kind,
        )
        return id_, payload

    def _write_answer(
        self, connection: Connection, id_: int, batch: Batch, outcome: PushAnswer | BaseException
    ) -> None:
        """Write what came back for one batch."""
        if isinstance(outcome, PushAnswer):
            state, reason = ("doubtful" if outcome.rejected else "acknowledged"), None
            self._write_contacts(connection, id_, batch, outcome)
        elif isinstance(outcome, RecordRejected):
            state, reason = "refused", outcome.reason
        else:
            state, reason = "unanswered", str(outcome)
        request_id = getattr(outcome, "request_id", None)
        push_batches.answer(self.ledger, connection, id_, state=state, reason=reason, request_id=request_id)

    def _count(self, answered: Sequence[Answered[Outgoing]]) -> None:
        """Count what was acknowledged, once it is written."""
        for _, batch, outcome in answered:
            if isinstance(outcome, PushAnswer):
                self.tally.acknowledged += len(batch)
                self.tally.doubtful += len(batch) if outcome.rejected else 0

    def _mark_opt_outs(self, connection: Connection, batch: Batch) -> None:
        """Remember who is about to be opted out: whatever becomes of the request, no older consent may follow."""
        out = [(record.contact_id, opts_out(record.consent)) for record in batch if record.consent is not None]
        if out := [(id_, flags) for id_, flags in out if any(flags)]:
            now = datetime.now(UTC)
            columns: dict[str, list[Any]] = {
                "contact_id": [id_ for id_, _ in out],
                "opted_out_at": [now if marketing else None for _, (marketing, _) in out],
                "sms_opted_out_at": [now if sms else None for _, (_, sms) in out],
            }
            common = {name: value for name, value in self._state("").items() if name != "state"}
            contacts.mark_opt_outs(self.ledger, connection, common, columns)

    def _write_contacts(self, connection: Connection, batch_id: int, batch: Batch, answer: PushAnswer) -> None:  # noqa: ARG002 (OptOutSender asks it)
        ids, _bodies, fingerprints, sources, filled, consents, held = zip(*batch, strict=True)
        sent = {
            **self._state("pending"),
            "reason": None,
            "snapshot_at": self._snapshot_at,
            "details_at": self._details_at,
            "push_batch_id": batch_id,
            "list_id": self.target.list_id,
            "suspect": None,
        }
        columns: dict[str, Sequence[Any]] = {
            "contact_id": ids,
            "fingerprint": fingerprints,
            "source_digest": sources,
            "filled": filled,
        }
        if any(consents) or any(held):
            columns |= {"consent_digest": [consent and digest(consent) for consent in consents], "held": held}
        more = [name for name in ("consent_digest", "list_id") if name in columns or sent.get(name) is not None]
        contacts.write_states(self.ledger, connection, sent, columns, (*contacts.SENT, *more))

    def _state(self, state: str) -> dict[str, Any]:
        return {
            "account": self.target.account,
            "collection": self.target.collection,
            "state": state,
            "sync_run_id": self.target.run_id,
            "changed_at": datetime.now(UTC),
        }

    def _reject(self, refused: Sequence[tuple[Outgoing, str]]) -> None:
        """Remember records that Ometria refused alone: not sent again until they or the mapping change."""
        if not refused:
            return
        self.opt_outs += [record for record, _ in refused if record.consent and any(opts_out(record.consent))]
        ids = [record.contact_id for record, _ in refused]
        columns: dict[str, list[Any]] = {
            "contact_id": ids,
            "reason": [reason for _, reason in refused],
            "source_digest": [record.source_digest for record, _ in refused],
        }
        run, slice_ = self.target.run_id, self.target.slice
        with self.ledger.write() as connection:
            findings.write(connection, run, slice_, "push", [(record.contact_id, None, why) for record, why in refused])
            judged = {**self._state("rejected"), "snapshot_at": None, "details_at": self._details_at}
            contacts.write_states(self.ledger, connection, judged, columns, contacts.JUDGED)
        self.tally.rejected += len(refused)

    def _progress(self) -> None:
        if monotonic() - self._told >= PROGRESS:
            self._told = monotonic()
            log.info("Acknowledged %s records so far, rejected %s", f"{self.tally.acknowledged:,}", self.tally.rejected)


def close_interrupted(ledger: Ledger, target: Target) -> None:
    """Close the batches that a killed push left open: whether they arrived is unknown, so their records go again."""
    with ledger.write() as connection:
        connection.execute(
            update(PushBatch)
            .where(
                PushBatch.sync_run_id == target.run_id,
                PushBatch.slice == target.slice,
                PushBatch.state == "sending",
            )
            .values(state="unanswered", reason="The push was interrupted.", ended_at=datetime.now(UTC))
        )
