"""Send records in batches, several requests in flight, with the ledger as the checkpoint."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any, ClassVar

from sqlalchemy import Connection, update

from ometria_provider.delivery.batches import Batch, Outgoing, batches, body, halves
from ometria_provider.delivery.consent import opts_out
from ometria_provider.delivery.digests import digest
from ometria_provider.delivery.poison import PoisonWatch
from ometria_provider.exceptions import Halted, RecordRejected
from ometria_provider.hooks.ometria import OmetriaHook, PushAnswer
from ometria_provider.ledger import batches as push_batches
from ometria_provider.ledger import contacts, findings, runs
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import PushBatch
from ometria_provider.operators.couriers import Couriers

log = logging.getLogger(__name__)

#: Seconds that an answer may wait for the next one, so that both are written at once.
LINGER = 0.01

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
class Sender:
    """Pushes records to one collection.

    Before a batch goes, and when its answer came, it is written to the ledger: the answers that arrived and the
    batches that go next share one transaction. A sender that is killed has lost no acknowledged record's
    fingerprint, so whoever goes on sends at most the requests that were in flight again.

    :param go_on: asked before more is sent; raises when nothing more is to go.
    """

    ledger: Ledger
    hook: OmetriaHook
    target: Target
    go_on: Callable[[], None] = lambda: None
    tally: Tally = field(default_factory=Tally)
    #: Records that Ometria refused alone, and that opt their members out.
    opt_outs: list[Outgoing] = field(default_factory=list)

    kind: ClassVar[str] = "contacts"

    def __post_init__(self) -> None:
        # What an earlier attempt, or another slice, got through says as much as what this one does.
        through = runs.count_records(self.ledger, self.target.run_id, "acknowledged", "doubtful")
        self._watch = PoisonWatch(acknowledged=through > 0)
        self._split: deque[Batch] = deque()
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
        source = batches(records)
        in_flight: dict[int, Batch] = {}
        with Couriers(self.hook.push, self.hook.concurrency) as couriers:
            try:
                going = self._next(source, self.hook.concurrency)
                departed = self._write([], going)
                while going or in_flight:
                    for (id_, payload), batch in zip(departed, going, strict=True):
                        in_flight[id_] = batch
                        couriers.send(id_, payload)
                    answered = self._answers(in_flight, couriers)
                    self._stop_if_told(answered)
                    going = self._next(source, self.hook.concurrency - len(in_flight))
                    departed = self._write(answered, going)
                    self._progress()
            except BaseException:
                self._drain(in_flight, couriers)
                raise
        self._reject(self._watch.verdicts())

    def _stop_if_told(self, answered: Sequence[tuple[int, Batch, Any]]) -> None:
        """Ask whether more may go; what was answered is written all the same."""
        try:
            self.go_on()
        except BaseException:
            self._write(answered, [])
            raise

    def _next(self, source: Iterator[Batch], room: int) -> list[Batch]:
        """Return the batches to go now, halves of refused ones first."""
        going: list[Batch] = []
        while len(going) < room and (batch := self._split.popleft() if self._split else next(source, None)):
            going.append(batch)
        return going

    def _answers(self, in_flight: dict[int, Batch], couriers: Couriers) -> list[tuple[int, Batch, Any]]:
        """Wait for an answer; return those that came, and split or convict what was refused."""
        # One transaction for several, while others are still on their way.
        came = couriers.answers(at_most=(len(in_flight) + 1) // 2, linger=LINGER)
        answered = [(id_, in_flight.pop(id_), outcome) for id_, outcome in came]
        fatal = next(
            (o for *_, o in answered if isinstance(o, BaseException) and not isinstance(o, RecordRejected)), None
        )
        if fatal is not None:
            self._write(answered, [])
            raise fatal
        # Before the next batches are chosen: the halves go first, and the loop must see them.
        for _, batch, outcome in answered:
            if isinstance(outcome, RecordRejected) and len(batch) > 1:
                self._split.extendleft(reversed(halves(batch)))
        return answered

    def _drain(self, in_flight: dict[int, Batch], couriers: Couriers) -> None:
        """Stopping: hear the answers to what is in flight, so that what they acknowledge is not sent again."""
        answered: list[tuple[int, Batch, Any]] = []
        while in_flight:
            answered += [(id_, in_flight.pop(id_), outcome) for id_, outcome in couriers.answers(1, LINGER)]
        self._write([entry for entry in answered if not isinstance(entry[2], RecordRejected)], [])

    def _write(self, answered: Sequence[tuple[int, Batch, Any]], going: Sequence[Batch]) -> list[tuple[int, bytes]]:
        """Write answers and departures in one transaction; return the departing batches' ids and request bodies."""
        verdicts, halt = self._judge(answered)
        going = [] if halt else going
        with self.ledger.write() as connection:
            for id_, batch, outcome in answered:
                self._write_answer(connection, id_, batch, outcome)
            for batch in going:
                self._mark_opt_outs(connection, batch)
            departed = [self._write_departure(connection, batch) for batch in going]
        self._reject(verdicts)
        if halt:
            raise halt
        return departed

    def _judge(self, answered: Sequence[tuple[int, Batch, Any]]) -> tuple[list[tuple[Outgoing, str]], Halted | None]:
        """Return the certain refusals; or why nothing more may go, which is known before more is written to go."""
        if any(isinstance(outcome, PushAnswer) for *_, outcome in answered):
            self._watch.acknowledged = True
        certain: list[tuple[Outgoing, str]] = []
        for _, batch, outcome in answered:
            if isinstance(outcome, RecordRejected) and len(batch) == 1:
                try:
                    certain += self._watch.refuse(batch[0], f"{outcome.reason} (HTTP {outcome.status})")
                except Halted as halt:
                    return certain, halt
        return certain, None

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
            self.tally.acknowledged += len(batch)
            self.tally.doubtful += len(batch) if outcome.rejected else 0
        elif isinstance(outcome, RecordRejected):
            state, reason = "refused", outcome.reason
        else:
            state, reason = "unanswered", str(outcome)
        request_id = getattr(outcome, "request_id", None)
        push_batches.answer(self.ledger, connection, id_, state=state, reason=reason, request_id=request_id)

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
