"""A push to one collection: measured, with what was done before it was cleared left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from operator import attrgetter
from time import monotonic
from typing import TYPE_CHECKING, Any

from ometria_provider.delivery.batches import Outgoing
from ometria_provider.ledger import batches, contacts, findings
from ometria_provider.ledger.engine import Ledger
from ometria_provider.metrics import emit, of_push
from ometria_provider.operators.accounts import ometria_hook
from ometria_provider.operators.consent import opt_out_of, with_consent
from ometria_provider.operators.error_log import Watch
from ometria_provider.operators.opt_outs import OptOutSender
from ometria_provider.operators.reasons import ByReason
from ometria_provider.operators.sender import Sender, Target, close_interrupted

if TYPE_CHECKING:
    from ometria_provider.hooks.ometria import OmetriaHook


class Push:
    """A push to one collection, measured and with its counts kept.

    :param facts: the step's facts in the ledger; the counts go there.
    :param watch: looks at the error log meanwhile; None: nobody does.
    :param hook: to the account; None: one of its own.
    """

    def __init__(
        self,
        ledger: Ledger,
        target: Target,
        facts: dict[str, Any],
        watch: Watch | None = None,
        hook: OmetriaHook | None = None,
    ) -> None:
        self.ledger, self.target, self.facts, self.watch = ledger, target, facts, watch
        self.hook = hook or ometria_hook(ledger, target.account)
        self.sender = Sender(ledger, target, hook=self.hook)
        self.alone = OptOutSender(ledger, target, hook=self.hook)
        if watch:
            self.sender.go_on = watch.check
        self.counts: Counter[str] = Counter()
        self.held_back = ByReason()
        #: What metrics call it.
        self.name = target.collection

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Keep the push's counts in the ledger, whether it ends well or not."""
        close_interrupted(self.ledger, self.target)
        findings.drop_rejections(self.ledger, self.target.run_id, self.target.slice, "push")
        started = monotonic()
        try:
            yield
        finally:
            doubtful = batches.count_records(self.ledger, self.target.run_id, "doubtful", slice_=self.target.slice)
            self.facts.update(
                accepted=self.counts["already"] + self.sender.tally.acknowledged - doubtful,
                already=self.counts["already"],
                superseded=self.counts["superseded"],
                rejected=self.sender.tally.rejected,
                doubtful=doubtful,
                opt_outs=self.alone.tally.acknowledged,
                held_back=self.held_back.facts(),
                rate=self.hook.push_requests_per_second,
                seconds=round(monotonic() - started, 3),
                queued=self.hook.queued,
                **asdict(self.hook.usage),
                **(self.watch.end() if self.watch else {}),
            )
            emit(of_push(self.name, self.sender.tally.acknowledged))

    def send(
        self,
        records: list[Outgoing],
        snapshot_at: datetime,
        *,
        details_at: datetime | None = None,
        stale: bool = False,
    ) -> None:
        """Send records, leaving out what was acknowledged or refused before this task was cleared.

        :param details_at: when the members' details were read; None: they have none.
        :param stale: a newer run has compared these members: nothing more of this one is sent.
        """
        ids = [record.contact_id for record in records]
        known = contacts.known_contacts(self.ledger, self.target.account, self.target.collection, ids)
        going: list[Outgoing] = []
        refused: list[findings.Refused] = []
        opt_outs: list[Outgoing] = []
        unsubscribed = {} if stale else self.unsubscribed(records)
        convicted = findings.rejected_by(self.ledger, self.target.run_id, "ometria", ids)
        for record in records:
            before = known.get(record.contact_id)
            if record.consent is not None:
                mapped, id_ = record, record.contact_id
                record = with_consent(mapped, before, unsubscribed.get(id_))  # noqa: PLW2901 (the record as it may go)
                self.held_back.note(id_, None if mapped.held else record.held)
            done = None if before is None else _done(before, record, snapshot_at, self.target.run_id)
            if done == "refused" and record.contact_id in convicted:
                # Acknowledged by an earlier attempt, whatever came out later.
                self.counts["already"] += 1
            elif done == "refused":
                refused.append((record.contact_id, None, (before and before.reason) or "refused by Ometria"))
                opt_outs += [] if stale else [record]
            elif done or stale:
                self.counts[done or "superseded"] += 1
            else:
                going.append(record)
        findings.reject(self.ledger, self.target.run_id, self.target.slice, "push", refused)
        if going and self.watch:
            self.watch.start()
        findings.forget(self.ledger, self.target.run_id, "ometria", convicted.intersection(r.contact_id for r in going))
        # Neighbours in the ledger go together: a batch then changes a few of its pages instead of a hundred.
        going.sort(key=attrgetter("contact_id"))
        self.sender.send(going, snapshot_at, details_at)
        self.send_opt_outs([*opt_outs, *self.sender.opt_outs])
        self.sender.opt_outs.clear()

    def unsubscribed(self, records: Sequence[Outgoing]) -> Mapping[str, datetime | None]:  # noqa: ARG002 (a contact sync asks them)
        """Return who of these unsubscribed in Ometria, and when: of somebody's own file that is their affair."""
        return {}

    def send_opt_outs(self, records: Iterable[Outgoing]) -> None:
        """Send identity and opt-out of records that are not sent themselves."""
        self.alone.send([found for record in records if (found := opt_out_of(record))], None)


def _done(known: contacts.Known, record: Outgoing, snapshot_at: datetime, run_id: int) -> str | None:
    """Return why a record need not be sent: an earlier attempt of this run dealt with it, or it is out of date."""
    own = known.sync_run_id == run_id
    if (
        own
        and known.fingerprint == record.fingerprint
        and not record.consent
        and known.state in {"pending", "accepted"}
    ):
        return "already"
    if own and known.state == "rejected" and known.source_digest == record.source_digest:
        return "refused"
    return "superseded" if is_overtaken(known, snapshot_at, run_id) else None


def is_overtaken(known: contacts.Known, snapshot_at: datetime, run_id: int) -> bool:
    """Say whether a member was delivered as read later, or a newer run looked at it since and delivered nothing."""
    if known.snapshot_at is not None and known.snapshot_at > snapshot_at:
        return True
    is_judged = known.sync_run_id > run_id and known.state in {"rejected", "filtered", "departed"}
    return is_judged and known.changed_at > snapshot_at
