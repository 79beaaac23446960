"""Look at Ometria's error log: before a push, while it goes on, and when it is over."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from time import sleep
from typing import TYPE_CHECKING, Any

from ometria_provider.delivery.error_log import LogEntry, News, news
from ometria_provider.delivery.limits import flood
from ometria_provider.delivery.suspects import Field, Fields, concerning
from ometria_provider.exceptions import Halted, Misconfigured, SyncError
from ometria_provider.ledger import batches, error_looks
from ometria_provider.ledger.engine import Ledger
from ometria_provider.operators.accounts import ometria_hook

if TYPE_CHECKING:
    from ometria_provider.hooks.ometria import OmetriaHook
    from ometria_provider.mapping.model import Mapping
    from ometria_provider.operators.base import Work

log = logging.getLogger(__name__)

#: Seconds between two looks, if the account's limit for reading allows that; and looks in a second's worth of it.
INTERVAL, SHARE = 2.0, 8

#: New errors hold a run up for at most so many times `settle_seconds`: other senders' may never end.
PATIENCE = 6

#: How often a look that another task overtook is made again.
ATTEMPTS = 20


def fields_of(mapping: Mapping) -> Fields:
    """Return where each remote field of a mapping stands in its records."""
    from ometria_provider.mapping.fields import remote_type
    from ometria_provider.mapping.layout import path

    return {path(remote, mapping.mode): Field(remote, remote_type(remote) is None) for remote in mapping.remotes}


def look(ledger: Ledger, account: str, hook: OmetriaHook) -> News:
    """Look at the log and keep what is new; all tasks on the account share the looks, and none counts an error twice.

    :raises Misconfigured: when the key may not read the log.
    """
    for _ in range(ATTEMPTS):
        before = error_looks.last_look(ledger, account)
        try:
            entries = [LogEntry(*entry) for entry in hook.push_errors()]
        except Misconfigured as error:
            raise Misconfigured(
                f"{error} Without Ometria's error log nobody sees which records it rejects later; "
                "`verify: off` in the mapping does without."
            ) from error
        changes = news([LogEntry(*entry) for entry in before.entries], entries) if before else News(Counter())
        gained = [(*entry, count) for entry, count in changes.errors.items()]
        gained += [("", path, 0) for path in changes.unseen]
        if error_looks.keep_look(ledger, account, before, entries, gained):
            return changes
    raise Misconfigured(f"Too many tasks look at the error log of {account!r} at once; clear this one later.")


def look_until_quiet(
    ledger: Ledger, account: str, hook: OmetriaHook, *, answered: datetime | None, is_drained: bool
) -> None:
    """Look until Ometria has validated what was sent: nothing new for `settle_seconds`, or it says so itself.

    :param answered: when the last answer to a push came; None: nothing was pushed.
    :param is_drained: Ometria's queue was empty then.
    """
    patience = hook.settle_seconds
    quiet_for = (datetime.now(UTC) - answered).total_seconds() if answered else patience
    wait = 0.0 if is_drained else max(patience - quiet_for, 0.0)
    for _ in range(PATIENCE):
        if wait:
            log.info("Waiting %.0f s until Ometria has validated what was sent", wait)
            sleep(wait)
        if not look(ledger, account, hook):
            break
        wait = patience


class Watch:
    """Looks at the log while a push goes on, beside it, and tells it to stop when too many errors come.

    :param work: the push.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._hook = ometria_hook(work.ledger, work.account)
        self._fields = fields_of(work.mapping)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._since = datetime.now(UTC)
        self._reason: str | None = None

    def start(self) -> None:
        """Take the baseline, before the first record goes, and begin to watch."""
        if self._thread is None and self._work.mapping.verify != "off":
            look(self._work.ledger, self._work.account, self._hook)
            self._since = datetime.now(UTC)
            self._thread = threading.Thread(target=self._watch, name="error-log", daemon=True)
            self._thread.start()

    def end(self) -> dict[str, Any]:
        """Stop watching; return what the ledger keeps of it."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        return {f"data_{name}": count for name, count in asdict(self._hook.usage).items()}

    def check(self) -> None:
        """Let the push go on.

        :raises Halted: when the log gained so many errors that the rest would probably be rejected as well.
        """
        if self._reason:
            raise Halted(self._reason)

    def _watch(self) -> None:
        interval = max(INTERVAL, SHARE / self._hook.data_requests_per_second)
        while not self._stop.wait(interval):
            try:
                self._look(interval)
            except SyncError as error:
                # The push does not depend on it: reconcile looks again.
                log.warning("The error log could not be read: %s", error)

    def _look(self, interval: float) -> None:
        work = self._work
        last = error_looks.last_look(work.ledger, work.account)
        if last is None or (datetime.now(UTC) - last.looked_at).total_seconds() >= interval / 2:
            look(work.ledger, work.account, self._hook)
        errors = error_looks.errors_since(work.ledger, work.account, self._since)
        ours = concerning({error.path for error in errors}, self._fields)
        counts: Counter[tuple[str, str]] = Counter()
        for error in errors:
            if error.path in ours:
                counts[error.message, error.path] += error.count
        sent = batches.count_records(work.ledger, work.run.id, "acknowledged", "doubtful")
        self._reason = flood(+counts, sent, work.mapping.limits)
