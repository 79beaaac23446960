"""Details: what only a call for each customer tells (`extensions.*`), asked for only where it can matter."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from ometria_provider.delivery.digests import encode_source, with_details
from ometria_provider.exceptions import Misconfigured, SyncError
from ometria_provider.ledger import contacts, runs, scans
from ometria_provider.ledger.engine import Ledger
from ometria_provider.mapping.customers import EXPIRING, Projection
from ometria_provider.mapping.unread import Unread
from ometria_provider.operators.asking import Asking
from ometria_provider.operators.base import Planned, Work, planned_then
from ometria_provider.operators.chosen import newest
from ometria_provider.operators.stager import Staged
from ometria_provider.text import duration

if TYPE_CHECKING:
    from ometria_provider.hooks.antavo import AntavoHook

log = logging.getLogger(__name__)

#: Customers, and seconds, after which what was fetched is kept in staging.
PART, PART_SECONDS = 1_000, 15.0

#: How old details may be that an earlier attempt of this run fetched.
TAKEN_UP = timedelta(days=1)

#: Seconds between two lines of progress.
PROGRESS = 5.0

#: Without a single answer that has them, after so many the account does not know expiring points.
ENOUGH = 20


class Detail(NamedTuple):
    """The details of one customer: its source digest without them, their values as JSON, and when it was asked."""

    base: bytes
    values: str
    at: datetime


@dataclass
class Details:
    """Asks for the details of one slice's customers, chunk by chunk."""

    work: Work
    hook: AntavoHook
    projection: Projection
    facts: dict[str, Any]
    _bare: int | None = 0
    _told: float = field(default_factory=monotonic)

    def __post_init__(self) -> None:
        self.rules = self.work.rules
        self.facts.update(details=0, vanished=0)
        self._asking = Asking(self._ask, self.hook.in_flight, partial(newest, self.hook))
        self._next_part = max((number for number, _ in self.work.files.parts("details")), default=-1) + 1

    def complete(self, chunk: Sequence[Staged]) -> tuple[list[Staged], datetime | None]:
        """Return the customers with their details, or marked as not whole where the ledger says that nothing changed.

        Who vanished since it was listed is left out, like one who left before. Whose details Antavo does not give keeps
        its place without them: map rejects it.

        :returns: the customers, and since when the oldest details are known; None when nobody was asked.
        """
        work = self.work
        known = contacts.known_contacts(
            work.ledger, work.account, work.collection, [member.contact_id for member in chunk]
        )
        asked = {
            member.customer: member.digest
            for member in chunk
            if not member.unread and self.rules.needs_details(known.get(member.contact_id), member.digest)
        }
        found = self._fetch(asked)
        completed: list[Staged] = []
        for member in chunk:
            if member.unread:
                completed.append(member)
            elif member.customer not in asked:
                before = known[member.contact_id].source_digest or member.digest
                completed.append(member._replace(digest=before, whole=False))
            elif isinstance(detail := found[member.customer], Unread):
                completed.append(member._replace(unread=detail))
            elif detail is not None:
                values = json.loads(detail.values)
                source = encode_source(self.projection.complete(json.loads(member.source), values))
                completed.append(member._replace(source=source, digest=with_details(member.digest, values)))
        self.facts["vanished"] += sum(detail is None for detail in found.values())
        return completed, min((detail.at for detail in found.values() if isinstance(detail, Detail)), default=None)

    def _fetch(self, asked: dict[str, bytes]) -> dict[str, Detail | Unread | None]:
        """Return each customer's details, None for one that Antavo does not know any more."""
        found: dict[str, Detail | Unread | None] = dict(self._taken_up(asked))
        if found:
            log.info("Took up the details of %s customers from an earlier attempt", f"{len(found):,}")
        todo = [customer for customer in asked if customer not in found]
        unsaved: dict[str, Detail] = {}
        started = saved = monotonic()
        try:
            for count, (customer, answer) in enumerate(self._asking.told(todo), start=1):
                self.facts["details"] += 1
                if isinstance(answer, SyncError):
                    found[customer] = Unread.because("details", answer)
                else:
                    detail = found[customer] = self._detail(asked[customer], *answer)
                    if detail:
                        unsaved[customer] = detail
                if len(unsaved) >= PART or monotonic() - saved >= PART_SECONDS:
                    self._keep(unsaved)
                    saved = monotonic()
                self._progress(count, len(todo), monotonic() - started)
        finally:
            self._keep(unsaved)
        return found

    def _detail(self, base: bytes, at: datetime, answer: dict[str, Any] | None) -> Detail | None:
        if answer is None:
            return None
        self._check(answer)
        return Detail(base, encode_source(self.projection.details(answer)).decode(), at)

    def _check(self, answer: dict[str, Any]) -> None:
        """Refuse an account that has no expiring points: for one customer a missing value only means that it is empty.

        :raises Misconfigured: when none of the first answers has them.
        """
        if self._bare is not None:
            self._bare = None if EXPIRING in answer else self._bare + 1
        if self._bare == ENOUGH:
            raise Misconfigured(
                f"Antavo answered {ENOUGH} detail calls without `{EXPIRING}`: the account does not have them. Remove "
                "the `extensions.*` rows from the mapping."
            )

    def _ask(self, customer: str) -> tuple[datetime, dict[str, Any] | None]:
        at = datetime.now(UTC)
        return at, self.hook.details(customer, self.projection.detail_fields)

    def _keep(self, unsaved: dict[str, Detail]) -> None:
        """Checkpoint what was fetched: an attempt that dies loses a quarter of a minute."""
        if not unsaved:
            return
        rows = [(customer, detail.base.hex(), detail.values) for customer, detail in unsaved.items()]
        at = min(detail.at for detail in unsaved.values())
        self.work.files.keep_part("details", self._next_part, {"at": at.isoformat(), "rows": rows})
        self._next_part += 1
        unsaved.clear()

    def _taken_up(self, asked: dict[str, bytes]) -> Iterator[tuple[str, Detail]]:
        """Yield what an earlier attempt of this run fetched of customers who have not changed since."""
        for _, part in self.work.files.parts("details"):
            at = datetime.fromisoformat(part["at"])
            if datetime.now(UTC) - at <= TAKEN_UP:
                for customer, base, values in part["rows"]:
                    if customer in asked and asked[customer].hex() == base:
                        yield customer, Detail(asked[customer], values, at)

    def _progress(self, count: int, total: int, seconds: float) -> None:
        if monotonic() - self._told >= PROGRESS or count == total:
            self._told = monotonic()
            log.info("%s", progress(count, total, seconds))


def expected_details(
    ledger: Ledger, planned: Planned, members: int | None, *, run: runs.Run | None = None
) -> int | None:
    """Return about how many members a complete scan asks the details of, beside those who changed.

    None: the mapping reads no details.

    :param members: how many there are; None when nobody can tell.
    :param run: the run that is about to ask; None: any that would begin now.
    """
    mapping = planned.mapping
    if not Projection(mapping).detail_fields:
        return None
    account, collection = mapping.connections.ometria, mapping.collection
    last = scans.last_scan_run(ledger, run, account=account, collection=collection)
    then = planned_then(last) if last else None
    if then is None or then.key != planned.key:
        return members or 0
    now, again = run.started_at if run else datetime.now(UTC), mapping.retry_rejected
    met, fresh = contacts.count_fresh_details(
        ledger,
        account,
        collection,
        now - mapping.details_max_age,
        rejected_since=None if again is None else now - again,
    )
    return max(met, members or 0) - fresh


def progress(count: int, total: int, seconds: float) -> str:
    """Return how far the detail calls are, and how long the rest takes at this speed."""
    rate = count / seconds if seconds else 0.0
    rest = f"; about {duration((total - count) / rate)} remain" if rate and count < total else ""
    return f"Asked for the details of {count:,} of {total:,} customers, {rate:,.1f} a second{rest}"
