"""Members who left: taken off the list, once the pushes are done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any

from sqlalchemy import Connection

from ometria_provider.delivery.batches import Batch, Outgoing
from ometria_provider.delivery.consent import OPTED_OUT
from ometria_provider.delivery.departures import complaints, farewell, left_the_where, plain_reason
from ometria_provider.delivery.digests import encode
from ometria_provider.hooks.ometria_answers import PushAnswer
from ometria_provider.ledger import batches, contacts, departures, findings
from ometria_provider.ledger.run_steps import DEPARTURES
from ometria_provider.operators.accounts import ometria_hook
from ometria_provider.operators.base import Work
from ometria_provider.operators.departures import FILES, is_stale, staged
from ometria_provider.operators.sender import Sender, Target, close_interrupted

#: Contact id → why it departs; None: the mapping's `where`, and the ledger says which rule.
Reasons = Mapping[str, str | None]


class Farewell:
    """Takes leave of the members whom the gate found missing and of those whom the filter left out."""

    def __init__(self, work: Work) -> None:
        self.work, self.of = work, (work.ledger, work.account, work.collection)
        self.target = Target(work.account, work.collection, work.run.id, DEPARTURES)

    def say(self, facts: dict[str, Any]) -> None:
        """Send what there is to send, and write who departed; keep the counts.

        It goes on where a killed attempt stopped: who departed is not with us any more.
        """
        manifest = self.work.store.own.read_manifest(FILES)
        snapshot_at = datetime.fromisoformat(manifest["snapshot_at"])
        if is_stale(self.work, snapshot_at):
            return
        close_interrupted(self.work.ledger, self.target)
        findings.drop_rejections(self.work.ledger, self.work.run.id, DEPARTURES, "push")
        hook, started = ometria_hook(self.work.ledger, self.target.account), monotonic()
        sender = FarewellSender(self.work.ledger, self.target, hook=hook, mode=self.work.mapping.departed)
        try:
            for reasons in self._everybody():
                self._take_leave(sender, reasons, snapshot_at)
        finally:
            self._count(facts, refused=sender.tally.rejected)
            seconds = round(monotonic() - started, 3)
            facts["farewells"] = {"rate": hook.push_requests_per_second, "seconds": seconds, **asdict(hook.usage)}

    def _everybody(self) -> Iterator[Reasons]:
        for ids, reasons in staged(self.work):
            yield {id_: reason for id_, reason in zip(ids, reasons, strict=True) if reason is not None}
        for page in departures.filtered(*self.of):
            yield dict.fromkeys(page)

    def _take_leave(self, sender: FarewellSender, reasons: Reasons, snapshot_at: datetime) -> None:
        """Send the records of a page, and write those down who need none."""
        known = contacts.known_contacts(*self.of, list(reasons))
        going: list[Outgoing] = []
        silent: list[Outgoing] = []
        sender.reasons = {}
        for id_, reason in reasons.items():
            before = known[id_]
            if not before.is_with_us or (before.snapshot_at and before.snapshot_at > snapshot_at):
                continue
            sender.reasons[id_] = reason or left_the_where(before.reason)
            body = farewell(
                id_,
                collection=self.target.collection,
                list_id=before.list_id,
                mode=self.work.mapping.departed,
                force=self.work.mapping.consent.force_opt_out,
            )
            # The filtered keep their digest: as long as nothing of them changes, nobody has to look at them again.
            digest = before.source_digest if reason is None else None
            opt_out = encode({"marketing_optin": OPTED_OUT}) if sender.mode == "opt_out" else None
            record = Outgoing(id_, body or b"", b"", source_digest=digest, filled=None, consent=opt_out)
            (silent if body is None else going).append(record)
        sender.send(going, snapshot_at)
        if silent:
            with self.work.ledger.write() as connection:
                sender.write_departed(connection, silent, snapshot_at=snapshot_at)

    def _count(self, facts: dict[str, Any], *, refused: int) -> None:
        """Keep who departed in this run, whichever attempt handled them."""
        found: Counter[str] = Counter()
        for reason, count in departures.departed_in(*self.of, self.work.run.id).items():
            found[plain_reason(reason)] += count
        doubtful = batches.count_records(self.work.ledger, self.work.run.id, "doubtful", slice_=DEPARTURES)
        facts.update(departed=found.total(), departures=dict(found), refused=refused)
        facts["complaints"] = [*facts.get("complaints", ()), *complaints(found.total(), refused, doubtful)]


@dataclass
class FarewellSender(Sender):
    """Sends records that take contacts off the list, and writes down that they departed.

    :param mode: what becomes of those who left: `departed` of the mapping file.
    :param reasons: why each contact departs.
    """

    mode: str = "remove_from_list"
    reasons: dict[str, str] = field(default_factory=dict)

    def _write_contacts(self, connection: Connection, batch_id: int, batch: Batch, answer: PushAnswer) -> None:  # noqa: ARG002 (Sender's signature)
        self.write_departed(connection, batch, snapshot_at=self._snapshot_at, push_batch_id=batch_id)

    def write_departed(self, connection: Connection, batch: Sequence[Outgoing], **more: Any) -> None:
        """Write that contacts departed: their records are forgotten, so that a returner is sent anew, whole."""
        gone = dict.fromkeys(("fingerprint", "filled", "consent_digest", "absent_run_id"))
        if self.mode != "ignore":
            gone["list_id"] = None
        ids = [record.contact_id for record in batch]
        columns: dict[str, Sequence[Any]] = {
            "contact_id": ids,
            "reason": [self.reasons[id_] for id_ in ids],
            "source_digest": [record.source_digest for record in batch],
        }
        common = {**self._state("departed"), **gone, **more}
        contacts.write_states(self.ledger, connection, common, columns, (*contacts.JUDGED, *gone, *more))

    def _reject(self, refused: Sequence[tuple[Outgoing, str]]) -> None:
        """Keep what Ometria refused; the contacts stay as they are, and the next run tries again."""
        rows = [(record.contact_id, None, f"not taken off the list: {reason}") for record, reason in refused]
        findings.reject(self.ledger, self.target.run_id, self.target.slice, "push", rows)
        self.tally.rejected += len(rows)
