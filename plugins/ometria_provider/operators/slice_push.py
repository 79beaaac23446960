"""The push of one slice of a contact sync."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from itertools import compress
from typing import TYPE_CHECKING, Any

from ometria_provider.delivery.batches import Outgoing, outgoing
from ometria_provider.delivery.consent import Facts, decide, may_opt_in
from ometria_provider.ledger import contacts, scans
from ometria_provider.operators import unsubscribes
from ometria_provider.operators.base import Work
from ometria_provider.operators.consent import opt_out_of, person
from ometria_provider.operators.error_log import Watch
from ometria_provider.operators.push import Push, is_overtaken
from ometria_provider.operators.sender import Sender, Target
from ometria_provider.operators.unsubscribes import Matcher

if TYPE_CHECKING:
    import pyarrow as pa

    from ometria_provider.hooks.ometria import OmetriaHook

log = logging.getLogger(__name__)

#: Actions of map that are remembered in the ledger though nothing is sent.
_STATES = {"filtered": "filtered", "rejected": "rejected", "unchanged": "accepted"}


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
        return {id_ for id_, one in known.items() if is_overtaken(one, snapshot_at, work.run.id)}


def _is_news(record: Outgoing, known: contacts.Known | None, snapshot_at: datetime) -> bool:
    """Say whether Ometria does not know of an opt-out yet, nor of anything newer."""
    if known is None:
        return True
    newer = known.snapshot_at is not None and known.snapshot_at > snapshot_at
    facts = Facts(last=known.consent_digest, rejected=True, overtaken=newer)
    return decide(record.consent or b"{}", facts).group is not None
