"""The push of one slice of a contact sync."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property
from itertools import compress
from operator import attrgetter
from time import monotonic
from typing import TYPE_CHECKING, Any

from ometria_provider.delivery.batches import Outgoing, outgoing
from ometria_provider.delivery.consent import Facts, decide, may_opt_in
from ometria_provider.ledger import batches, contacts, findings, scans
from ometria_provider.ledger.engine import Ledger
from ometria_provider.metrics import emit, of_push
from ometria_provider.operators import unsubscribes
from ometria_provider.operators.accounts import ometria_hook
from ometria_provider.operators.base import Work
from ometria_provider.operators.consent import HeldBack, opt_out_of, person, with_consent
from ometria_provider.operators.error_log import Watch
from ometria_provider.operators.opt_outs import OptOutSender
from ometria_provider.operators.sender import Sender, Target, close_interrupted
from ometria_provider.operators.unsubscribes import Matcher

if TYPE_CHECKING:
    import pyarrow as pa

    from ometria_provider.hooks.ometria import OmetriaHook

log = logging.getLogger(__name__)

#: Actions of map that are remembered in the ledger though nothing is sent.
_STATES = {"filtered": "filtered", "rejected": "rejected", "unchanged": "accepted"}


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
        self.held_back = HeldBack()
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


def push_slice(
    work: Work, facts: dict[str, Any], *, hook: OmetriaHook | None = None, sender: Sender | None = None
) -> None:
    """Send what is to be sent and was not acknowledged yet; keep the states of those who need nothing sent.

    :param hook: to the account; None: one of its own.
    :param sender: who sends; None: the usual one.
    """
    push = SlicePush(work, facts, hook)
    if sender:
        sender.go_on, push.sender = push.sender.go_on, sender
    with push.measured():
        for index, chunk in enumerate(work.files.read_manifest("map")["chunks"]):
            if not chunk["mapped"]:
                continue
            times = (chunk[name] and datetime.fromisoformat(chunk[name]) for name in ("snapshot_at", "details_at"))
            push.chunk(index, *times)


class SlicePush(Push):
    """The push of one slice, chunk by chunk."""

    def __init__(self, work: Work, facts: dict[str, Any], hook: OmetriaHook | None = None) -> None:
        target = Target(work.account, work.collection, work.run.id, work.slice, work.mapping.list)
        super().__init__(work.ledger, target, facts, Watch(work), hook)
        self.work, self.name = work, work.run.mapping
        refused = work.files.read_manifest("validate")["refused"]
        self.refused: dict[int, dict[int, str]] = {}
        self.at_fault: dict[int, dict[int, list[str]]] = {}
        for chunk, rows in refused.items():
            self.refused[int(chunk)] = {row: reason for row, reason, _ in rows}
            self.at_fault[int(chunk)] = {row: fields for row, _, fields in rows}

    def chunk(self, index: int, snapshot_at: datetime, details_at: datetime | None) -> None:
        """Push one chunk."""
        table = self.work.files.read_chunk("map", index)
        refused = self.refused.get(index, {})
        stale = self._is_stale(snapshot_at)
        if not stale:
            # First of all, and before a rejection counts as old: whoever is killed here looks at it again.
            self._send_opt_outs(table, self.at_fault.get(index, {}), snapshot_at)
            self._keep_states(table, refused, snapshot_at, details_at)
        actions = enumerate(table["action"].to_pylist())
        wanted = [action == "send" and row not in refused for row, action in actions]
        records = list(map(outgoing, compress(zip(*self._columns(table), strict=True), wanted)))
        self.send(records, snapshot_at, details_at=details_at, stale=stale)

    @cached_property
    def _matcher(self) -> Matcher:
        """Read once more who unsubscribed: between map and push lie minutes, or hours when the push was cleared."""
        unsubscribes.read(self.work.ledger, self.work.account, self.hook, run_id=self.work.run.id)
        return Matcher(self.work.ledger, self.work.account, self.work.collection)

    def unsubscribed(self, records: Sequence[Outgoing]) -> Mapping[str, datetime | None]:
        """Return when those of these members whose record may opt them in unsubscribed in Ometria."""
        asking = [record for record in records if record.consent and may_opt_in(record.consent)]
        if not asking:
            return {}
        times = self._matcher.match(map(person, asking))
        return {record.contact_id: at for record, at in zip(asking, times, strict=True)}

    def _send_opt_outs(self, table: pa.Table, at_fault: dict[int, list[str]], snapshot_at: datetime) -> None:
        """Send the opt-outs of members whom mapping or validation rejects: nothing holds them back."""
        bodies = table["alone"].to_pylist() if table["alone"].null_count < table.num_rows else [None] * table.num_rows
        rows = sorted({row for row, body in enumerate(bodies) if body is not None}.union(at_fault))
        if not rows:
            return
        found: list[Outgoing] = []
        for row, record in zip(rows, map(outgoing, zip(*self._columns(table.take(rows)), strict=True)), strict=True):
            body = bodies[row]
            opt_out = opt_out_of(record, at_fault[row]) if body is None else record._replace(body=body)
            found += [opt_out] if opt_out else []
        known = contacts.known_contacts(
            self.ledger, self.target.account, self.target.collection, [record.contact_id for record in found]
        )
        self.alone.send(
            [record for record in found if _is_news(record, known.get(record.contact_id), snapshot_at)], None
        )

    @staticmethod
    def _columns(table: pa.Table) -> Iterator[list[Any]]:
        return (table[name].to_pylist() for name in Outgoing._fields)

    def _is_stale(self, snapshot_at: datetime) -> bool:
        """Say whether a newer run has compared these members since they were read."""
        work = self.work
        newer = scans.superseded_by(
            work.ledger, work.run, account=work.account, collection=work.collection, snapshot_at=snapshot_at
        )
        if newer is not None:
            log.info("Run %s has compared these members since: what this run read before is not sent", newer)
        return newer is not None

    def _keep_states(
        self, table: pa.Table, refused: dict[int, str], snapshot_at: datetime, details_at: datetime | None
    ) -> None:
        """Write what became of members who are not sent: only now, behind the gate, does a rejection count as old.

        A complete scan shows an older run by its gate that these members were compared since. A run for some members
        shows it by each member's own row: the record that Ometria holds is the one of this snapshot too.
        """
        actions = table["action"].to_pylist()
        rows = [
            row
            for row, (action, touched) in enumerate(zip(actions, table["touched"].to_pylist(), strict=True))
            if touched and (action in _STATES or row in refused)
        ]
        names = ("contact_id", "source_digest", "reason", "held")
        ids, digests, reasons, held = (table[name].to_pylist() for name in names)
        overtaken = self._overtaken([ids[row] for row in rows], snapshot_at)
        rows = [row for row in rows if ids[row] not in overtaken]
        judged: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
        for row in rows:
            state = "rejected" if row in refused else _STATES[actions[row]]
            reason = refused.get(row) or (None if state == "accepted" else reasons[row])
            judged[state].append((ids[row], digests[row], reason, None if row in refused else held[row]))
        common = {
            "account": self.work.account,
            "collection": self.work.collection,
            "snapshot_at": None,
            "details_at": details_at,
            "sync_run_id": self.work.run.id,
            "changed_at": datetime.now(UTC),
        }
        with self.work.ledger.write() as connection:
            for state, members in judged.items():
                own = dict(zip(names, zip(*members, strict=True), strict=True))
                shared = {**common, "state": state}
                changes: tuple[str, ...] = contacts.SEEN if state == "accepted" else contacts.JUDGED
                if state == "accepted" and self.work.run.is_partial:
                    changes, shared["snapshot_at"] = contacts.STILL, snapshot_at
                contacts.write_states(self.work.ledger, connection, shared, own, changes)

    def _overtaken(self, ids: Sequence[str], snapshot_at: datetime) -> Collection[str]:
        """Return who was looked at since by a newer run for some members."""
        work = self.work
        if not scans.has_newer(work.ledger, work.run, account=work.account, collection=work.collection):
            return ()
        known = contacts.known_contacts(work.ledger, work.account, work.collection, ids)
        return {id_ for id_, one in known.items() if _is_overtaken(one, snapshot_at, work.run.id)}


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
    return "superseded" if _is_overtaken(known, snapshot_at, run_id) else None


def _is_overtaken(known: contacts.Known, snapshot_at: datetime, run_id: int) -> bool:
    """Say whether a member was delivered as read later, or a newer run looked at it since and delivered nothing."""
    if known.snapshot_at is not None and known.snapshot_at > snapshot_at:
        return True
    is_judged = known.sync_run_id > run_id and known.state in {"rejected", "filtered", "departed"}
    return is_judged and known.changed_at > snapshot_at


def _is_news(record: Outgoing, known: contacts.Known | None, snapshot_at: datetime) -> bool:
    """Say whether Ometria does not know of an opt-out yet, nor of anything newer."""
    if known is None:
        return True
    newer = known.snapshot_at is not None and known.snapshot_at > snapshot_at
    facts = Facts(last=known.consent_digest, rejected=True, overtaken=newer)
    return decide(record.consent or b"{}", facts).group is not None
