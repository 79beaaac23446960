"""What a run left undelivered, and how another run is asked to deliver it: the retry of task, command and page."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from ometria_provider.exceptions import Misconfigured, SyncError
from ometria_provider.ledger import contacts, undelivered
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.history import RunRow, find_run, run_row
from ometria_provider.origin import origin_of
from ometria_provider.staging.store import RunStore

#: Members whom a run can be given by name: they travel in the DAG run's conf, which Airflow keeps in its database.
MOST = 5_000

log = logging.getLogger(__name__)


def run_to_retry(ledger: Ledger, reference: str, *, mapping: str, before: int | None = None) -> RunRow:
    """Return the run that is to be tried again.

    :param reference: a RUN: the ledger's number, or `MAPPING:latest`.
    :param before: the retry's own number: `latest` is the latest before it.
    :raises Misconfigured: when there is no such run, or it is another mapping's, or pushed somebody's own file.
    """
    run = run_row(ledger, find_run(ledger, reference, before=before))
    if (origin := origin_of(run)).sync is None:
        raise Misconfigured(
            f"Run {run.id} pushed a file of somebody's own, which no mapping reads: mend the file, and start the DAG "
            f"{origin.dag_id} again. What was acknowledged does not go again; what was rejected does, once it changed."
        )
    if run.mapping != mapping:
        raise Misconfigured(
            f"Run {run.id} is one of mapping {run.mapping}, not of {mapping}: retry it in the DAG of {run.mapping}."
        )
    if run.dry_run:
        raise Misconfigured(f"Run {run.id} was a dry run, which delivers nothing: start a run without `dry_run`.")
    if run.account is None or run.collection is None:
        raise Misconfigured(f"Run {run.id} ended before it read anybody: there is nothing to retry. Start a new run.")
    return run


def left(
    ledger: Ledger, staging_path: str, run: RunRow, *, reason: str | None = None, only: Sequence[str] = ()
) -> list[str]:
    """Return the contacts that a run left undelivered, and that no run delivered since.

    :param reason: only those rejected with this text in reason or field, in any case.
    :param only: only these contacts.
    """
    open_ = [id_ for id_, end in undelivered.endings(ledger, run, reason=reason).items() if end.is_open]
    if reason is None and run.pending:
        open_ += undelivered.pending(ledger, run)
        open_ += _unsent(ledger, RunStore(staging_path, run.mapping, run.id), run)
    wanted = set(only)
    return [id_ for id_ in dict.fromkeys(open_) if not only or id_ in wanted]


def _unsent(ledger: Ledger, store: RunStore, run: RunRow) -> list[str]:
    """Return the contacts that a push did not get to, as long as the run's staging is there."""
    found: list[str] = []
    index = 0
    try:
        while store.slice(index).has("validate"):
            found += _unsent_in(ledger, store, run, index)
            index += 1
    except SyncError as error:
        log.warning("Whom the push of run %s did not get to is not known any more: %s", run.id, error)
    return found


def _unsent_in(ledger: Ledger, store: RunStore, run: RunRow, index: int) -> list[str]:
    files, found = store.slice(index), []
    for number, chunk in enumerate(files.read_manifest("map")["chunks"]):
        if not chunk["mapped"]:
            continue
        going: list[str] = files.read_ready(number, ["contact_id"])["contact_id"].to_pylist()
        read_at = datetime.fromisoformat(chunk["snapshot_at"])
        known = contacts.known_contacts(ledger, str(run.account), str(run.collection), going)
        found += [id_ for id_ in going if _is_left(known.get(id_), read_at)]
    return found


def _is_left(known: contacts.Known | None, read_at: datetime) -> bool:
    """Say whether nobody delivered a member, or found it not to be delivered, since it was read."""
    if known is None:
        return True
    if known.state in {"filtered", "departed"} and known.changed_at >= read_at:
        return False
    return known.snapshot_at is None or known.snapshot_at < read_at
