"""Deliver what waits in an Antavo account's inbox: each event once for each of its workflows, as a custom event.

While a page of deliveries is on its way the next two are made ready, so that Ometria's limit is what a backlog goes by,
and no more than three pages are held in memory.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from ometria_provider.dagdefaults import campaign_events_id
from ometria_provider.delivery.batches import MAX_RECORDS, batches
from ometria_provider.delivery.campaign import Tally
from ometria_provider.delivery.suspects import Field, Fields, concerning
from ometria_provider.exceptions import SyncError
from ometria_provider.ledger import cursors, deliveries, error_looks, inbox
from ometria_provider.ledger.engine import Ledger
from ometria_provider.operators import error_log
from ometria_provider.operators.accounts import ometria_hook
from ometria_provider.operators.event_sender import Events, EventSender, OutgoingEvent
from ometria_provider.operators.preparing import Preparing
from ometria_provider.operators.run import RunFailed
from ometria_provider.settings import Settings, read_settings
from ometria_provider.workflows.model import IDENTITY, Workflow

log = logging.getLogger(__name__)

#: How long after an event was acknowledged a late error may still be about it.
LATE = timedelta(minutes=10)

#: Pages made ready while one is on its way. One in a dozen asks anew for every customer it names, and takes longer than
#: a page is on its way (`operators/lookups.py`): the second one is there by then.
AHEAD = 2

#: Name of the ledger's cursor of the Ometria account: the last look at its error log on behalf of campaigns.
CURSOR = "campaign_errors"


def deliver(
    ledger: Ledger,
    workflows: Iterable[Workflow],
    account: str,
    run_id: str,
    *,
    settings: Settings | None = None,
    dag_id: str = "",
    unreadable: Collection[str] = (),
    only: str | None = None,
    send_again: str | None = None,
) -> Tally:
    """Deliver everything that waits for the workflows of an Antavo account; return what became of it.

    It does not raise for what keeps some events waiting: the others go, and :func:`complaint` says how the run ends.

    :param workflows: all of the account's workflows; events of others wait.
    :param account: the Antavo connection.
    :param run_id: Airflow's id of the run.
    :param settings: where contact mappings and their rules are; default the configuration.
    :param dag_id: the DAG, whose name runs that push contacts first bear in the ledger.
    :param unreadable: names of workflow files that cannot be read now: their events wait.
    :param only: deliver for this workflow alone.
    :param send_again: an event that goes however old it is: somebody asked for it, and reopened it in the ledger.
    """
    by_name = {workflow.name: workflow for workflow in workflows}
    tally = Tally()
    for ometria in sorted({workflow.connections.ometria for workflow in by_name.values()}):
        preparing = Preparing(
            ledger=ledger,
            settings=settings or read_settings(),
            account=account,
            ometria=ometria,
            dag_id=dag_id or campaign_events_id(account),
            run_id=run_id,
            workflows=by_name,
            tally=tally,
            unreadable=frozenset(unreadable),
            only=only,
            send_again=send_again,
        )
        try:
            _deliver_to(ometria, preparing)
        except SyncError as fault:
            tally.blame(fault)
    inbox.finish(ledger, account)
    return tally


def complaint(tally: Tally) -> SyncError | None:
    """Return the error that a run ends with: None, when all is done.

    An event that waits for a server is tried again by Airflow, in a new attempt of the run, and by every run after it.
    A run that ends with events waiting is red, and so is one that rejected all that it had to mail, and one of whose
    events Ometria counted some as rejected.
    """
    return tally.fault or (RunFailed(reason) if (reason := tally.complaint) else None)


def _deliver_to(ometria: str, preparing: Preparing) -> None:
    with contextlib.closing(_batches(preparing.pages())) as source:
        first = next(source, None)
        if first is not None:
            hook = ometria_hook(preparing.ledger, ometria, urgent=True)
            late_errors = LateErrors(preparing, ometria)
            late_errors.begin()
            sender = EventSender(hook=hook, ledger=preparing.ledger, run_id=preparing.run_id, tally=preparing.tally)
            sender.send(_with_first(first, source))
    LateErrors(preparing, ometria).count()


def _with_first(first: Events, rest: Iterator[Events]) -> Iterator[Events]:
    yield first
    yield from rest


def _batches(pages: Iterator[list[OutgoingEvent]]) -> Generator[Events, None, None]:
    """Yield requests' worth of events. What is left over of a page goes with the next one, if that is ready by then."""
    ready: list[OutgoingEvent] = []
    pool = ThreadPoolExecutor(1, thread_name_prefix="prepare")  # one thread: pages come in order
    try:
        coming = deque(pool.submit(next, pages, None) for _ in range(AHEAD))
        while (page := coming.popleft().result()) is not None:
            coming.append(pool.submit(next, pages, None))
            ready += page
            whole = len(ready) - len(ready) % MAX_RECORDS
            yield from batches(ready[:whole])
            ready = ready[whole:]
            if not coming[0].done():
                yield from batches(ready)
                ready = []
        yield from batches(ready)
    finally:
        pool.shutdown(cancel_futures=True)


class LateErrors:
    """Counts the errors of Ometria's log that may be about custom events.

    An event cannot be read back, so that an error convicts none (contract/ometria.md, "Custom event").
    """

    def __init__(self, preparing: Preparing, ometria: str) -> None:
        self._ledger, self._account, self._tally = preparing.ledger, ometria, preparing.tally
        self._workflows = [one for one in preparing.workflows.values() if one.connections.ometria == ometria]
        self._antavo = preparing.account

    def begin(self) -> None:
        """Look at the log before the very first event: what it holds by then is none of ours."""
        if error_looks.last_look(self._ledger, self._account) is None:
            self._look()

    def count(self) -> None:
        """Count what the log gained since the last look, if an event was acknowledged lately."""
        now = datetime.now(UTC)
        names = [workflow.name for workflow in self._workflows]
        if not deliveries.acknowledged_since(self._ledger, self._antavo, names, now - LATE):
            return
        since = cursors.get(self._ledger, self._account, "", CURSOR) or now - LATE
        if not self._look():
            return
        cursors.move(self._ledger, self._account, "", CURSOR, at=datetime.now(UTC), run_id=0)
        errors = error_looks.errors_since(self._ledger, self._account, since)
        ours = concerning({error.path for error in errors if error.path}, _fields(self._workflows))
        found = [error for error in errors if error.path in ours and error.count]
        for error in found:
            self._tally.late[error.message, error.path] += error.count
            log.warning(
                "Ometria's error log: %s × %s at %s; an event may be the cause", error.count, error.message, error.path
            )

    def _look(self) -> bool:
        try:
            error_log.look(self._ledger, self._account, ometria_hook(self._ledger, self._account, urgent=True))
        except SyncError as error:
            # No event depends on it: the next run looks again.
            log.warning("The error log could not be read: %s", error)
            return False
        return True


def _fields(workflows: Iterable[Workflow]) -> Fields:
    """Return where each field of the workflows' custom events stands in them."""
    names: list[tuple[str, ...]] = [
        ("id",),
        ("event_type",),
        ("timestamp",),
        ("profile_id",),
        *((name,) for name in IDENTITY),
    ]
    names += [("properties", row.remote) for workflow in workflows for row in workflow.action.payload]
    return {path: Field(path[-1], custom=len(path) > 1) for path in names}
