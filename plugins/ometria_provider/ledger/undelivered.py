"""What became of the members whom a run did not deliver: told from where they stand now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, Subquery, and_, case, func, literal, select

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.history import RunRow
from ometria_provider.ledger.models import ContactState, PushBatch, Rejection, SyncRun, SyncStep
from ometria_provider.ledger.rejections import matches
from ometria_provider.ledger.scans import is_complete_scan
from ometria_provider.ledger.statements import is_one_of

#: Ends that leave something to deliver.
OPEN = frozenset({"rejected", "pending", "undelivered"})

#: Ids asked for in one statement.
CHUNK = 5_000


@dataclass(frozen=True)
class Ending:
    """Where a member stands whom a run rejected.

    :param state: `delivered`, `rejected`, `pending`, `filtered`, `departed`, or `undelivered`: nobody looked since.
    :param run: the run that delivered or judged it last.
    :param reason: why, in that run's words.
    """

    state: str
    run: int | None = None
    reason: str | None = None

    @property
    def is_open(self) -> bool:
        """Say whether there is something left to deliver."""
        return self.state in OPEN

    def words(self, run_id: int) -> str:
        """Say it to somebody who looks at a run.

        :param run_id: that run.
        """
        if self.state == "rejected" and self.run == run_id:
            return "still rejected"
        if self.state == "delivered" and self.run is not None and self.run < run_id:
            return f"as run {self.run} delivered it"
        words = {"rejected": "still rejected in run", "delivered": "delivered by run", "undelivered": "not delivered"}
        others = {
            "pending": "not delivered for sure by run",
            "filtered": "filtered in run",
            "departed": "departed in run",
        }
        run = "" if self.run is None else f" {self.run}"
        return f"{(words | others)[self.state]}{run}" + (f": {self.reason}" if self.reason else "")


def endings(
    ledger: Ledger, run: RunRow, ids: Sequence[str] | None = None, *, reason: str | None = None
) -> dict[str, Ending]:
    """Return where the members stand whom a run rejected, by contact id.

    :param ids: only these.
    :param reason: only those rejected with this text in reason or field, in any case.
    """
    settled = _is_settled(ledger, run)
    found: dict[str, Ending] = {}
    chunks = [None] if ids is None else [ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)]
    with ledger.read() as connection:
        for chunk in chunks:
            rejected = _rejected(ledger, run, chunk, reason)
            query = _standing(run, rejected, rejected.c.contact_id, ContactState.reason)
            for contact_id, why, *standing in connection.execute(query):
                found[contact_id] = _ending(*standing, settled=settled, reason=why)
    return found


def ended(ledger: Ledger, run: RunRow) -> dict[Ending, int]:
    """Return how many of the members whom a run rejected ended where; without reasons."""
    settled = _is_settled(ledger, run)
    query = _standing(run, _rejected(ledger, run, None, None), func.count())
    counts: dict[Ending, int] = {}
    with ledger.read() as connection:
        for count, *standing in connection.execute(query.group_by(*list(query.selected_columns)[1:])):
            ending = _ending(*standing, settled=settled, reason=None)
            counts[ending] = counts.get(ending, 0) + count
    return counts


def pending(ledger: Ledger, run: RunRow) -> list[str]:
    """Return the contacts whose last record is of this run and not delivered for sure."""
    if not run.pending:
        return []
    query = select(ContactState.contact_id).where(
        ContactState.account == run.account,
        ContactState.collection == run.collection,
        ContactState.state == "pending",
        ContactState.sync_run_id == run.id,
    )
    with ledger.read() as connection:
        return list(connection.execute(query).scalars())


def _rejected(ledger: Ledger, run: RunRow, ids: Sequence[str] | None, reason: str | None) -> Subquery:
    query = select(Rejection.contact_id, func.max(Rejection.created_at).label("at")).where(
        Rejection.sync_run_id == run.id
    )
    if ids is not None:
        query = query.where(is_one_of(ledger, Rejection.contact_id, ids))
    if reason is not None:
        query = query.where(matches(reason))
    return query.group_by(Rejection.contact_id).subquery()


def _standing(run: RunRow, rejected: Subquery, *columns: Any) -> Select[Any]:
    """Select columns, and behind them what `_ending` goes by."""
    own = and_(
        ContactState.account == run.account,
        ContactState.collection == run.collection,
        ContactState.contact_id == rejected.c.contact_id,
    )
    is_newer = case((ContactState.snapshot_at > rejected.c.at, literal(True)), else_=literal(False))
    return (
        select(*columns, ContactState.state, PushBatch.sync_run_id, ContactState.sync_run_id, is_newer)
        .select_from(rejected)
        .outerjoin(ContactState, own)
        .outerjoin(PushBatch, PushBatch.id == ContactState.push_batch_id)
    )


def _ending(
    state: str | None,
    sender: int | None,
    judge: int | None,
    is_newer: bool,
    *,
    settled: bool,
    reason: str | None,
) -> Ending:
    if state == "accepted" and (settled or is_newer):
        return Ending("delivered", sender)
    if state is None or state == "accepted":
        return Ending("undelivered")
    return Ending(state, judge, reason)


def _is_settled(ledger: Ledger, run: RunRow) -> bool:
    """Say whether `contact_state` speaks of this run's members, or of a time before it.

    It does when the run's own gate opened, or that of a complete scan since: each member was judged anew then.
    """
    gate = select(SyncStep.sync_run_id).where(
        SyncStep.sync_run_id == run.id, SyncStep.step == "gate", SyncStep.state == "done"
    )
    later = select(SyncRun.id).where(
        SyncRun.account == run.account, SyncRun.collection == run.collection, SyncRun.id > run.id, *is_complete_scan()
    )
    with ledger.read() as connection:
        if not run.dry_run and connection.execute(gate).first() is not None:
            return True
        return connection.execute(later.limit(1)).first() is not None
