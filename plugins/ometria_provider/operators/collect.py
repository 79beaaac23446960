"""Collect an Antavo account's new events into the ledger's inbox, each once.

Each workflow has its own cursors, so that one which is new, or was broken for three days, gets the events that it has
not been told of, whatever the others read. The account is read once for all of them, from the earliest.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ometria_provider.hooks.events import LOOK_BACK, event_id
from ometria_provider.ledger import cursors, giving_up, inbox
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.inbox import Bodiless, Collected
from ometria_provider.operators import starts
from ometria_provider.workflows.events import UnreadableEvent, event_view, odd_event

if TYPE_CHECKING:
    from ometria_provider.hooks.antavo import AntavoHook
    from ometria_provider.workflows.accounts import Campaigns
    from ometria_provider.workflows.model import Workflow

log = logging.getLogger(__name__)

#: How often everything is read again that may still be mailed: events may be backdated that far.
SWEEP_EVERY = timedelta(hours=1)

#: Events that are asked for again lie at most so far apart to be asked for in one go.
GAP = timedelta(hours=1)

#: Events that are asked for again in one go.
CHUNK = 5_000

#: Antavo's times have milliseconds; what is asked for ends at the next one.
TICK = timedelta(milliseconds=1)


@dataclass
class Found:
    """What a collection found.

    :param since: from when on events were read; None: nothing was read.
    :param swept: as far back as any workflow wants them.
    :param read: events read, of whatever action.
    :param new: kept for the first time.
    :param odd: new ones that nobody can mail: no objects, or without an id or action that could be used.
    :param forgotten: older than what the ledger still holds: they were here, or came too late to be mailed.
    :param fetched: asked for again.
    :param lost: asked for again, and gone from Antavo.
    """

    since: datetime | None = None
    swept: bool = False
    read: int = 0
    new: int = 0
    odd: int = 0
    forgotten: int = 0
    fetched: int = 0
    lost: int = 0

    def counts(self) -> dict[str, int]:
        """Return what was read, new and gone."""
        return {"read": self.read, "new": self.new, "odd": self.odd, "lost": self.lost}

    def sentence(self) -> str:
        """Say it for the log."""
        if self.since is None:
            return "Nothing was collected: there is no workflow."
        text = f"Read {self.read:,} events since {self.since:%Y-%m-%d %H:%M:%SZ}{' (a sweep)' if self.swept else ''}"
        parts = [f"{self.new:,} are new and wanted"]
        parts += [f"{self.odd:,} of them have no id or action that could be used, and are rejected"] * bool(self.odd)
        parts += [f"{self.forgotten:,} are from before what `maintain_ledger` let go of, and left"] * bool(
            self.forgotten
        )
        parts += [f"{self.fetched:,} were asked for again"] * bool(self.fetched)
        parts += [f"{self.lost:,} that were to be tried again are gone from Antavo"] * bool(self.lost)
        return f"{text}: {', '.join(parts)}."


@dataclass(frozen=True)
class Collector:
    """Collects for the workflows of one Antavo account.

    :param run_id: Airflow's id of the run.
    """

    ledger: Ledger
    campaigns: Campaigns
    hook: AntavoHook
    run_id: str

    @property
    def account(self) -> str:
        """The Antavo connection."""
        return self.campaigns.account

    def collect(self, *, sweep: bool = False) -> Found:
        """Read what is new and put it into the inbox; the cursors move when all of it is there.

        :param sweep: read everything that may still be mailed, due or not.
        :raises Retryable: Antavo or the ledger does not answer; what was kept until then stays.
        """
        self._forget_removed_files()
        found = Found()
        if not self.campaigns.workflows:
            return found
        now = datetime.now(UTC)
        marks = cursors.all_of(self.ledger, self.account, "")
        # Before anything is kept: what happened until now is not mailed by `start: now`.
        workflows = self.campaigns.workflows.values()
        cursors.move_all(self.ledger, self.account, "", starts.begin(workflows, self._files, marks, now), run_id=0)
        found.since, found.swept = reach(self.campaigns.workflows, marks, now, sweep=sweep)
        for page in self.hook.events(found.since):
            found.read += len(page)
            self._keep(page, found)
        self._fetch_again(found)
        names = ("collected", "swept") if found.swept else ("collected",)
        moved = {f"{kind}:{name}": now for kind in names for name in self.campaigns.workflows}
        moved |= {starts.sends(workflow): now for workflow in workflows}
        cursors.move_all(self.ledger, self.account, "", moved, run_id=0)
        return found

    def _forget_removed_files(self) -> None:
        """Let nothing wait for a workflow that is not there any more; a broken file is there."""
        if count := giving_up.without_file(self.ledger, self.run_id, self.account, self._files):
            log.warning("%s events are skipped: their workflow files are gone", count)

    @property
    def _files(self) -> set[str]:
        """The names of the account's files; broken ones may be anybody's."""
        return {*self.campaigns.workflows, *self.campaigns.unreadable}

    def _keep(self, page: Iterable[Any], found: Found) -> None:
        """Keep the events of a page that somebody wants, and count them."""
        events, odd = [], set[str]()
        for raw in page:
            names = self._wanting(raw)
            if not names:
                continue
            try:
                event = event_view(raw)
            except UnreadableEvent as problem:
                event = odd_event(raw, str(problem))
                odd.add(event.id)
            events.append(Collected.of(event, names))
        pruned = self._pruned
        for kept, is_new in zip(events, inbox.put(self.ledger, self.account, events, inbox.ASKED), strict=True):
            found.new += is_new
            found.odd += is_new and kept.event_id in odd
            found.forgotten += bool(not is_new and pruned and kept.occurred_at and kept.occurred_at < pruned)

    def _wanting(self, raw: Any) -> tuple[str, ...]:
        """Return the workflows that an event triggers; one that names no action may be anybody's."""
        action = raw.get("action") if isinstance(raw, dict) else None
        if action in (None, ""):
            return tuple(self.campaigns.workflows)
        return tuple(name for name, each in self.campaigns.workflows.items() if each.trigger.event == str(action))

    @cached_property
    def _pruned(self) -> datetime | None:
        return cursors.get(self.ledger, self.account, "", inbox.PRUNED)

    def _fetch_again(self, found: Found) -> None:
        """Ask Antavo for events that somebody wants again and whose bodies were let go."""
        after = 0
        while missed := inbox.bodiless(self.ledger, self.account, limit=CHUNK, after=after):
            after = missed[-1].id
            wanted = {event.event_id for event in missed}
            for since, until in windows(missed):
                for page in self.hook.events(since, until):
                    own = [raw for raw in page if event_id(raw) in wanted]
                    events = [Collected.of(event_view(raw), self._wanting(raw)) for raw in own]
                    inbox.put(self.ledger, self.account, events, inbox.ASKED)
            still = {event.event_id for event in inbox.bodiless(self.ledger, self.account, limit=CHUNK)}
            lost = sorted(wanted & still)
            found.fetched += len(wanted) - len(lost)
            found.lost += len(lost)
            reason = "Antavo does not give this event again"
            giving_up.without_event(self.ledger, self.run_id, reason, account=self.account, events=lost)
        if found.lost:
            log.warning("Antavo does not have %s events any more that were to be tried again", found.lost)


def reach(
    workflows: Mapping[str, Workflow], marks: Mapping[str, datetime], now: datetime, *, sweep: bool
) -> tuple[datetime, bool]:
    """Return from when on events are read, and whether that is as far back as any workflow wants them.

    :param marks: the workflows' cursors: `collected:<name>`, `swept:<name>`.
    """
    due = any(marks.get(f"swept:{name}", datetime.min.replace(tzinfo=UTC)) <= now - SWEEP_EVERY for name in workflows)
    sweep = sweep or due
    starts = [at - LOOK_BACK for name in workflows if (at := marks.get(f"collected:{name}"))]
    starts += [now - max(each.expires_after for each in workflows.values())] if sweep else []
    return min(starts), sweep


def windows(events: Iterable[Bodiless]) -> Iterator[tuple[datetime, datetime]]:
    """Yield spans of time that hold the events, without the long times between them.

    An event without a time is in none: Antavo can be asked by time only.
    """
    times = sorted(event.occurred_at for event in events if event.occurred_at)
    first = last = None
    for at in times:
        if first is not None and last is not None and at - last > GAP:
            yield first, last + TICK
            first = None
        first, last = first or at, at
    if first is not None and last is not None:
        yield first, last + TICK
