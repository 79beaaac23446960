"""Members who left: looked for at the gate, taken leave of when the pushes are done."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from ometria_provider.delivery.departures import ABSENT, FILTERED, OPTED_OUT, why_missing
from ometria_provider.ledger import contacts, cursors, departures, rebuilding, runs, scans
from ometria_provider.ledger.rejections import EXAMPLES
from ometria_provider.ledger.run_steps import StepRow, total
from ometria_provider.mapping.identity import own_id
from ometria_provider.operators import chosen
from ometria_provider.operators.accounts import antavo_hook
from ometria_provider.operators.base import Work
from ometria_provider.staging.tables import missing_table

if TYPE_CHECKING:
    from ometria_provider.delivery.present import Present, Shared
    from ometria_provider.hooks.antavo import AntavoHook

log = logging.getLogger(__name__)

#: Name of the ledger's cursor: up to when `opt_out` events were taken into account.
CURSOR = "opt_out"

#: The step whose files in the run's folder say who was not read.
FILES = "gate"


@dataclass
class Gone:
    """Who left, as a run's gate found it.

    :param known: contacts that could have left.
    :param missing: not read for the first time; they stay until the next complete scan misses them too.
    :param left: members whom the mapping's `where` leaves out now.
    :param first_missing: a few ids of `missing`, to be looked up.
    """

    known: int = 0
    missing: int = 0
    opted_out: int = 0
    absent: int = 0
    left: int = 0
    first_missing: list[str] = field(default_factory=list)

    def leaving(self) -> dict[str, int]:
        """Return how many depart, by reason."""
        found = {OPTED_OUT: self.opted_out, FILTERED: self.left, ABSENT: self.absent}
        return {reason: count for reason, count in found.items() if count}


class Search:
    """Looks for the contacts that a complete scan did not read.

    :param steps: the run's steps so far.
    """

    def __init__(self, work: Work, steps: list[StepRow]) -> None:
        self.work, self.of = work, (work.ledger, work.account, work.collection)
        self.extracts = [work.store.slice(index) for index in range(total(steps, "plan", "slices"))]
        self.gone = Gone(left=total(steps, "map", "left"))
        self.is_on = departures.has_anybody(*self.of)
        self._untold: set[str] = set()
        self._hook: AntavoHook | None = None

    def look(self, facts: dict[str, Any]) -> Gone:
        """Stage who is missing and who departs, a page of contacts at a time, and count them."""
        files, chunks = self.work.store.own, 0
        files.begin(FILES)
        if self.is_on and not is_stale(self.work, self._snapshot_at):
            for page in self._expected():
                self.gone.known += len(page)
                if missing := self._present.missing(page):
                    files.write_chunk(FILES, chunks, missing_table(missing, self._reasons(missing)))
                    chunks += 1
        files.write_manifest(FILES, {"chunks": chunks, "snapshot_at": self._snapshot_at.isoformat()})
        facts.update(gone=asdict(self.gone), leaving=self.gone.leaving())
        facts.update(asdict(self._hook.usage) if self._hook else {})
        return self.gone

    def note(self) -> None:
        """Remember who is missing for the first time, and forget it of those who were read again.

        Whom a rebuild found in Ometria and a complete scan does not read is none of ours.

        Only behind the gate, and never in a dry run: a scan that was halted does not count.
        """
        run_id = self.work.run.id
        for ids, reasons in staged(self.work) if self.gone.missing else ():
            stay = [id_ for id_, reason in zip(ids, reasons, strict=True) if reason is None]
            departures.note_missing(*self.of, stay, run_id)
        for page in departures.missed_before(*self.of) if self.is_on else ():
            missing = set(self._present.missing(page))
            departures.note_missing(*self.of, [id_ for id_ in page if id_ not in missing], None)
        for page in departures.unread(*self.of) if self.is_on and self.work.run.strategy == runs.FULL else ():
            rebuilding.leave_to_others(*self.of, self._present.missing(page))

    def shared(self) -> Shared:
        """Return what tells the contact ids that customers of different slices have."""
        return self._present.shared()

    def _expected(self) -> Iterator[list[str]]:
        """Yield the contacts whom the run would have met if nobody had left.

        A run that is no complete scan tells nothing by not reading somebody; only who opted out is looked for then.
        """
        run = self.work.run
        if run.strategy == runs.FULL:
            yield from departures.everybody(*self.of, run.id)
        elif not run.is_chosen:
            found = contacts.known_contacts(*self.of, sorted(self._opted_out))
            yield [id_ for id_, known in found.items() if self._opted_out_since(known) or self._has_left(known)]

    def _reasons(self, missing: Sequence[str]) -> list[str | None]:
        """Return why each departs; None: missing for the first time."""
        known = contacts.known_contacts(*self.of, missing)
        reasons = [self._reason(known[id_]) for id_ in missing]
        opted_out = reasons.count(OPTED_OUT)
        self.gone.opted_out += opted_out
        self.gone.missing += reasons.count(None)
        new = (id_ for id_, reason in zip(missing, reasons, strict=True) if reason is None)
        self.gone.first_missing += islice(new, EXAMPLES - len(self.gone.first_missing))
        self.gone.absent += len(reasons) - opted_out - reasons.count(None)
        return reasons

    def _reason(self, known: contacts.Known) -> str | None:
        if self._has_left(known):
            return known.reason
        run_id = self.work.run.id
        return why_missing(known.contact_id, known.absent_run_id, run_id=run_id, opted_out=self._opted_out)

    def _opted_out_since(self, known: contacts.Known) -> bool:
        """Say whether a contact that can depart opted out after it was read last: before, it has joined again."""
        read_at = known.snapshot_at
        return known.is_with_us and (read_at is None or self._opted_out[known.contact_id] > read_at)

    def _has_left(self, known: contacts.Known) -> bool:
        """Say whether somebody departed in this run already, before it was cleared."""
        return known.state == "departed" and known.sync_run_id == self.work.run.id

    @cached_property
    def _snapshot_at(self) -> datetime:
        """When the scan began; a run that read nobody began with its plan."""
        chunks = [chunk for files in self.extracts for chunk in files.read_manifest("extract")["chunks"]]
        times = (datetime.fromisoformat(chunk["snapshot_at"]) for chunk in chunks)
        return min(times, default=self.work.run.started_at)

    @cached_property
    def _present(self) -> Present:
        from ometria_provider.delivery.present import Present

        return Present(self._read_ids())

    def answered(self) -> list[str]:
        """Return the contacts that this run asked for again, and whose customers Antavo told of, or does not know."""
        unread = contacts.unread(*self.of)
        if not unread:
            return []
        choice = chosen.planned(self.work)
        asked = None if choice is None else {name for id_ in choice.ids for name in (id_, own_id(id_))}
        vain = {id_ for files in self.extracts for id_ in files.read_manifest("extract").get("in_vain", ())}
        mine = sorted(id_ for id_ in unread if (asked is None or id_ in asked) and id_ not in vain)
        return [id_ for id_ in self._present.missing(mine) if id_ not in self._untold]

    def _read_ids(self) -> Iterator[list[str]]:
        for files in self.extracts:
            for index, chunk in enumerate(files.read_manifest("extract")["chunks"]):
                ids = files.read_chunk("extract", index, ["contact_id"])["contact_id"].to_pylist()
                # Of whom Antavo tells nothing, an `opt_out` event tells enough.
                untold = {int(row) for row, (part, _) in chunk.get("unread", {}).items() if part == "customer"}
                self._untold.update(ids[row] for row in untold)
                yield [id_ for row, id_ in enumerate(ids) if row not in untold] if untold else ids

    @cached_property
    def _opted_out(self) -> dict[str, datetime]:
        """Contacts of the customers with an `opt_out` event since the last run, each with the time of the last one.

        Asked for once somebody is missing. Of a customer who is gone the event gives the id alone: contacts that are
        known by another field wait for their second absence.
        """
        since = cursors.get(*self.of, CURSOR)
        if since is None:
            return {}
        from ometria_provider.hooks.events import LOOK_BACK, event_customer
        from ometria_provider.hooks.scan import instant
        from ometria_provider.mapping.customers import Projection
        from ometria_provider.mapping.identity import contact_id_reader

        projection, contact_id = Projection(self.work.mapping), contact_id_reader(self.work.mapping)
        hook = self._hook = antavo_hook(self.work.ledger, self.work.mapping.connections.antavo)
        found: dict[str, datetime] = {}
        for event in chain.from_iterable(hook.events(since - LOOK_BACK)):
            customer = event_customer(event)
            if (
                customer
                and event.get("action") == "opt_out"
                and (id_ := contact_id(projection.project({"_id": customer})))
            ):
                found[id_] = instant(event.get("timestamp")) or since
        return found


def staged(work: Work) -> Iterator[tuple[list[str], list[str | None]]]:
    """Yield the contacts that the gate found missing, with the reason for which they depart."""
    files = work.store.own
    for index in range(files.read_manifest(FILES)["chunks"]):
        table = files.read_chunk(FILES, index)
        yield table["contact_id"].to_pylist(), [reason or None for reason in table["reason"].to_pylist()]


def is_stale(work: Work, snapshot_at: datetime) -> bool:
    """Say whether a newer run has looked since: whom this one did not find means nothing any more."""
    newer = scans.superseded_by(
        work.ledger, work.run, account=work.account, collection=work.collection, snapshot_at=snapshot_at
    )
    if newer is not None:
        log.info("Run %s has looked for departed members since: this run leaves them alone", newer)
    return newer is not None


def gone_of(steps: Sequence[StepRow]) -> Gone:
    """Return what a run's gate found, of its steps in the ledger."""
    found: dict[str, Any] = next((step.facts["gone"] for step in steps if "gone" in step.facts), {})
    return Gone(**found)
