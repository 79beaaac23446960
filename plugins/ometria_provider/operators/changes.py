"""Incremental runs: which customers changed, and up to when changes are read and delivered."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ometria_provider.delivery.strategy import LastScan, why_full
from ometria_provider.ledger import contacts, cursors, late, runs, scans
from ometria_provider.ledger.run_steps import StepRow
from ometria_provider.mapping.identity import PREFIX, takes_antavos_id
from ometria_provider.operators.base import Work, planned_then
from ometria_provider.operators.chosen import Choice
from ometria_provider.operators.retry import choice_of

if TYPE_CHECKING:
    from ometria_provider.hooks.antavo import AntavoHook

log = logging.getLogger(__name__)

#: Name of the ledger's cursor: up to when changed customers were read and delivered.
CURSOR = "customers"

SECOND = timedelta(seconds=1)

#: Each search begins so far before the cursor: clocks differ, and the Read API may show a change later than the search.
OVERLAP = timedelta(minutes=15)


@dataclass(frozen=True)
class Reading:
    """What a run reads.

    :param until: the second after it began: who changes later is the next run's.
    :param choice: the customers who changed; None: everybody.
    :param why: why everybody is read though the strategy is incremental.
    :param since: from when on changes were searched for.
    """

    until: datetime
    choice: Choice | None = None
    why: str | None = None
    since: datetime | None = None

    def sentence(self, cost: str) -> str:
        """Return what the run is about to do.

        :param cost: what reading them costs, in a sentence.
        """
        if self.why:
            return f"Everybody is read, because {self.why}. {cost}"
        if self.since and self.choice:
            return f"An incremental run: who changed from {self.since:%Y-%m-%d %H:%M:%SZ} on. {cost}"
        return cost


def planned(work: Work, hook: AntavoHook, strategy: str | None) -> Reading:
    """Return what a run reads that nobody chose members for.

    :param strategy: the run's param; None: as the mapping says.
    """
    # The second that has just begun belongs to it; who changes later in it is found again, by the overlap.
    until = datetime.now(UTC).replace(microsecond=0) + SECOND
    if (strategy or work.mapping.strategy) != runs.INCREMENTAL:
        return Reading(until)
    cursor = cursors.get(work.ledger, work.account, work.collection, CURSOR)
    why = why_full(_last_scan(work), cursor, now=work.run.started_at, full_every=work.mapping.full_every)
    if why or cursor is None:
        return Reading(until, why=why)
    since = (cursor - OVERLAP).replace(microsecond=0)
    changed = [id_ for page in hook.changed(since, until) for id_ in page]
    reasons = dict.fromkeys([*changed, *_due(work)])
    tried = tuple(id_ for id_ in _unread(work) if id_ not in reasons)
    return Reading(until, Choice((*reasons, *tried), tried=tried), since=since)


def _last_scan(work: Work) -> LastScan | None:
    last = scans.last_scan_run(work.ledger, work.run, account=work.account, collection=work.collection, delivered=True)
    if last is None:
        return None
    then, now = planned_then(last), work.mapping.connections
    return LastScan(
        last.started_at, then is not None and (then.key, then.mapping.connections) == (work.digest_key, now)
    )


def _due(work: Work) -> tuple[str, ...]:
    """Return the customers who are read though they did not change, where their contact id is Antavo's.

    That is whose remembered rejection is to be tried again, and whose delivery is in doubt: what was sent to them is
    made again, to be compared with what Ometria holds.
    """
    of, again = (work.ledger, work.account, work.collection), work.mapping.retry_rejected
    ids = [] if work.mapping.verify == "off" else late.open_contacts(*of)
    if again is not None:
        ids += contacts.rejected_before(*of, work.run.started_at - again)
    choice = choice_of(work.mapping, ids)
    if choice.kind == "contact" and ids:
        log.info("%s members who did not change wait for the next complete scan: their ids are not Antavo's", len(ids))
    return choice.ids if choice.kind == "customer" else ()


def _unread(work: Work) -> tuple[str, ...]:
    """Return the customers of whom Antavo did not tell: what it may tell by now is not lost."""
    ids = contacts.unread(work.ledger, work.account, work.collection)
    own = ids if takes_antavos_id(work.mapping) else [id_ for id_ in ids if id_.startswith(PREFIX)]
    return tuple(id_.removeprefix(PREFIX) for id_ in own)


def delivered(work: Work, steps: list[StepRow]) -> None:
    """Let the next search begin where this run's ended: everything that it read was delivered."""
    until = next((step.facts["until"] for step in steps if step.step == "plan" and "until" in step.facts), None)
    if until is not None and not work.run.dry_run:
        at = datetime.fromisoformat(until)
        cursors.move(work.ledger, work.account, work.collection, CURSOR, at=at, run_id=work.run.id)
