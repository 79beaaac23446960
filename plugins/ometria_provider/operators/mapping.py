"""Map: from what was read to records, and which of them are to be sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any

import msgspec

from ometria_provider.delivery.compare import Action
from ometria_provider.delivery.digests import decode_sources, digest, encode
from ometria_provider.ledger import contacts, findings, remote_fields
from ometria_provider.mapping.fields import CONSENT
from ometria_provider.mapping.identity import ANOTHERS
from ometria_provider.mapping.records import Rejected
from ometria_provider.mapping.unread import Unread
from ometria_provider.operators.base import SyncOperator, Work
from ometria_provider.operators.consent import Consented, ConsentMapper
from ometria_provider.operators.reasons import ByReason
from ometria_provider.staging.tables import mapped_table

if TYPE_CHECKING:
    import pyarrow as pa
    from airflow.sdk import Context

    from ometria_provider.ledger.contacts import Known
    from ometria_provider.mapping.records import Mapped


#: Ids that a slice keeps of those whom one rule of `where` leaves out.
LEFT_OUT_IDS = 20


class MapOperator(SyncOperator):
    """Make one slice's records and decide which of them are to be sent."""

    step = "map"

    def work(self, work: Work, facts: dict[str, Any], context: Context) -> None:  # noqa: ARG002 (the base's signature)
        """Compare each chunk, and map those in which anything differs."""
        findings.drop_rejections(work.ledger, work.run.id, work.slice, "mapping")
        work.files.begin("map")
        mapper = _ChunkMapper(work)
        chunks = []
        for index, chunk in enumerate(work.files.read_manifest("extract")["chunks"]):
            unread = {int(row): Unread(*one) for row, one in chunk.get("unread", {}).items()}
            table = mapper.map(index, asked=chunk["details_at"] is not None, unread=unread)
            if table is not None:
                work.files.write_chunk("map", index, table)
            chunks.append({**chunk, "mapped": table is not None})
        facts.update(mapper.facts())
        work.files.write_manifest("map", {"chunks": chunks})
        self.log.info("%s", ", ".join(f"{name} {count}" for name, count in facts.items() if isinstance(count, int)))


@dataclass
class _ChunkMapper:
    """Maps chunk after chunk, and counts."""

    work: Work
    counts: Counter[str] = field(default_factory=Counter)
    cleared: Counter[str] = field(default_factory=Counter)
    left_out: ByReason = field(default_factory=partial(ByReason, LEFT_OUT_IDS))

    def __post_init__(self) -> None:
        work = self.work
        self.rules = work.rules
        self.hidden = _details_in_rules(work)
        self.bits = remote_fields.field_bits(work.ledger, work.account, work.collection, work.mapping.remotes)
        self.consent = ConsentMapper(work)

    def facts(self) -> dict[str, Any]:
        """Return the counts as the ledger keeps them."""
        names = ["read", "unchanged", "filtered", "rejected", "remembered", "held", "to_send", "created", "changed"]
        names.append("left")
        counts: dict[str, Any] = {name: self.counts[name] for name in names}
        reasons = {"held_back": self.consent.held_back.facts(), "left_out": self.left_out.facts()}
        return {**counts, "cleared": dict(self.cleared), **reasons}

    def map(self, index: int, *, asked: bool, unread: Mapping[int, Unread]) -> pa.Table | None:
        """Return the mapped chunk, or None when the source digests alone say that nothing is to be done.

        :param asked: somebody was asked for details: the ledger has to learn when, even if nothing changed.
        :param unread: of whom Antavo does not tell everything, by row.
        """
        read = partial(self.work.files.read_chunk, "extract", index)
        names = ["contact_id", "digest", "whole"]
        ids, digests, whole = (column.to_pylist() for column in read(names).columns)
        for row in unread:
            digests[row] = contacts.LOOK_AGAIN
        known = contacts.known_contacts(self.work.ledger, self.work.account, self.work.collection, ids)
        glances = [self.rules.at_a_glance(known.get(id_), digest_) for id_, digest_ in zip(ids, digests, strict=True)]
        self.counts["read"] += len(ids)
        # A run for some members has to note of each that it looked: see `SlicePush`. Who is not told of may opt out.
        if None not in glances and not asked and not unread and not self.work.run.is_partial:
            self._count_leavers(glances, map(known.get, ids))
            self.counts.update(glance for glance in glances if glance)
            self._note_left_out(ids, glances, repeat(None), map(known.get, ids))
            return None
        # Nothing is made of a customer whose details are missing. Where the ledger forgot it since extract looked, the
        # next run asks.
        settled = [None if is_whole else glance or "unchanged" for is_whole, glance in zip(whole, glances, strict=True)]
        sources = read(["source"])["source"].to_pylist()
        return self._map_rows(ids, sources, digests, known, settled, asked=asked, unread=unread)

    def _map_rows(
        self,
        ids: list[str],
        sources: list[bytes],
        digests: list[bytes],
        known: dict[str, Known],
        settled: Sequence[Action | None],
        *,
        asked: bool,
        unread: Mapping[int, Unread],
    ) -> pa.Table:
        from ometria_provider.mapping.customers import Projection
        from ometria_provider.mapping.records import map_columns

        mapping = self.work.mapping
        columns = decode_sources(sources, len(Projection(mapping).paths))
        mapped = map_columns(mapping, columns, today=datetime.now(UTC).date(), unread=unread)
        _refuse_second_owners(mapped, ids)
        before = list(map(known.get, ids))
        fingerprints = [None if body is None else digest(body) for body in mapped.bodies]
        consented = self.consent.decide(mapped, ids, columns[Projection(mapping).paths.index("status")], before)
        actions, acknowledged, touched = self._decide(
            mapped.outcomes, before, digests, fingerprints, consented, settled, asked=asked
        )
        self._count_leavers(actions, before)
        self._note_left_out(ids, actions, mapped.reasons, before)
        mapped.rejections.extend(self.consent.leave_alone(consented, mapped, actions))
        for id_, held in zip(ids, consented.held, strict=True):
            self.consent.held_back.note(id_, held)
        if self.hidden:  # a rule would find their details missing
            mapped.bodies[:] = [None if done else body for done, body in zip(settled, mapped.bodies, strict=True)]
        filled = self._clear(mapped, actions, before)
        self._move_lists(mapped, actions, before)
        self._keep_rejections(ids, mapped, actions)
        return mapped_table(
            contact_id=ids,
            action=actions,
            known=acknowledged,
            touched=touched,
            body=mapped.bodies,
            fingerprint=fingerprints,
            source_digest=digests,
            filled=filled,
            reason=_reasons(mapped),
            **consented.columns(),
        )

    def _decide(
        self,
        outcomes: Sequence[str],
        before: Sequence[Known | None],
        sources: Sequence[bytes],
        fingerprints: Sequence[bytes | None],
        consented: Consented,
        settled: Sequence[Action | None],
        *,
        asked: bool,
    ) -> tuple[list[Action], list[bool], list[bool]]:
        """Return each member's action, whether Ometria has it already, and whether the ledger's row is out of date."""
        actions: list[Action] = []
        acknowledged, touched = [], []
        created = changed = 0
        rows = zip(outcomes, before, sources, fingerprints, consented.consents, consented.held, settled, strict=True)
        for outcome, old, source, fingerprint, consent, held, done in rows:
            action = done or self._action(outcome, old, source, fingerprint, consent)
            has_it = old is not None and old.fingerprint is not None
            # What this run delivered itself, before it was cleared, is neither created nor changed once more.
            own = (
                old is not None
                and old.fingerprint == fingerprint
                and old.sync_run_id == self.work.run.id
                and consent is None
            )
            if action == "send" and not own:
                changed += has_it
                created += not has_it
            actions.append(action)
            acknowledged.append(has_it)
            seen = self.work.run.is_partial and action == "unchanged"
            touched.append(not done and (seen or _is_out_of_date(old, source, action, held, asked=asked)))
        self.counts.update("to_send" if action == "send" else action for action in actions)
        self.counts.update(created=created, changed=changed)
        return actions, acknowledged, touched

    def _count_leavers(self, actions: Iterable[Action | None], before: Iterable[Known | None]) -> None:
        """Count those who leave the mapping's `where` with this run; reconcile takes them off the list."""
        run_id = self.work.run.id
        filtered = (old for action, old in zip(actions, before, strict=True) if action == "filtered" and old)
        self.counts["left"] += sum(
            (old.is_with_us and old.state != "pending") or (old.state == "departed" and old.sync_run_id == run_id)
            for old in filtered
        )

    def _note_left_out(
        self,
        ids: Iterable[str],
        actions: Iterable[Action | None],
        reasons: Iterable[str | None],
        before: Iterable[Known | None],
    ) -> None:
        """Note whom the mapping's `where` leaves out, and by which of its rules."""
        for id_, action, reason, old in zip(ids, actions, reasons, before, strict=False):
            if action == "filtered":
                self.left_out.note(id_, reason or (old.reason if old else None))

    def _action(
        self, outcome: str, old: Known | None, source: bytes, fingerprint: bytes | None, consent: bytes | None
    ) -> Action:
        if outcome == "filtered":
            return "filtered"
        if fingerprint is None:
            return self.rules.by_refusal(old, source)
        return self.rules.by_record(old, source, fingerprint, consent=consent is not None)

    def _clear(self, mapped: Mapped, actions: Sequence[Action], before: Sequence[Known | None]) -> list[bytes]:
        """Send null for what was filled in the record last acknowledged, if the mapping says so; return the bitmaps."""
        from ometria_provider.delivery.filled import pack, unpack
        from ometria_provider.mapping.layout import clear_fields

        mapping, remotes = self.work.mapping, self.work.mapping.remotes
        bitmaps = pack(mapped.filled, remotes, self.bits)
        rows = [row for row, action in enumerate(actions) if action == "send" and (old := before[row]) and old.filled]
        if not rows or mapping.on_empty == "keep":
            return bitmaps
        lost = unpack([old.filled if (old := before[row]) else None for row in rows], remotes, self.bits)
        lost &= ~mapped.filled[rows]
        for row, flags in zip(rows, lost, strict=True):
            if flags.any():
                names = [name for name, flag in zip(remotes, flags, strict=True) if flag and name not in CONSENT]
                self.cleared.update(names)
                record = msgspec.json.decode(mapped.bodies[row] or b"{}")
                mapped.bodies[row] = encode(clear_fields(record, names, mapping.mode))
        return bitmaps

    def _move_lists(self, mapped: Mapped, actions: Sequence[Action], before: Sequence[Known | None]) -> None:
        """Take contacts off the list that they are on, when the mapping names another one by now.

        No part of the fingerprint: a contact that was moved is unchanged in the next run.
        """
        for row, (action, old) in enumerate(zip(actions, before, strict=True)):
            if action == "send" and old and old.list_id not in (None, self.work.mapping.list):
                record = msgspec.json.decode(mapped.bodies[row] or b"{}")
                mapped.bodies[row] = encode({**record, "@remove_from_lists": [old.list_id]})

    def _keep_rejections(self, ids: list[str], mapped: Mapped, actions: Sequence[Action]) -> None:
        findings.reject(
            self.work.ledger,
            self.work.run.id,
            self.work.slice,
            "mapping",
            [
                (ids[refused.row], refused.field, refused.reason)
                for refused in mapped.rejections
                if actions[refused.row] == "rejected"
            ],
        )


_STATE_OF: dict[str, str] = {"unchanged": "accepted", "filtered": "filtered", "remembered": "rejected"}


def _details_in_rules(work: Work) -> bool:
    """Say whether a validation rule reads a remote field that is made from details."""
    made = {row.remote for row in work.mapping.rows if row.loyalty and row.loyalty.startswith("extensions.")}
    return bool(made.intersection(work.suite.columns))


def _is_out_of_date(old: Known | None, source: bytes, action: Action, held: str | None, *, asked: bool) -> bool:
    """Say whether the ledger's row of a member must say something else if nothing is sent for it.

    Whoever was asked for details gets at least the time of that.

    A doubtful contact stays pending whatever becomes of the member: nobody knows what Ometria holds of it.
    """
    if old is None:
        return True
    if old.state == "pending":
        return False
    if old.held != held:
        return True
    if old.state == "departed" and action == "filtered":
        return asked or old.source_digest != source
    return asked or action in ("send", "rejected") or old.source_digest != source or old.state != _STATE_OF.get(action)


def _refuse_second_owners(mapped: Mapped, ids: Sequence[str]) -> None:
    """Reject customers whose contact id another customer has: they were staged under Antavo's id."""
    for row, id_ in enumerate(ids):
        if mapped.bodies[row] is not None and mapped.contact_ids[row] != id_:
            mapped.bodies[row], mapped.outcomes[row] = None, "rejected"
            mapped.filled[row] = False
            mapped.rejections.append(Rejected(row, "id", ANOTHERS))


def _reasons(mapped: Mapped) -> list[str | None]:
    """Return why a member has no record: the filter's rule, or the first field that was refused."""
    reasons = list(mapped.reasons)
    for refused in reversed(mapped.rejections):
        reasons[refused.row] = f"{refused.field}: {refused.reason}"
    return reasons
