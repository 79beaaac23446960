"""Where a mapping stands by its runs: what ended last, what was green last, what waits for a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.history import RunRow
from ometria_provider.ledger.models import SyncRun
from ometria_provider.ledger.runs import AWAITING, CHOSEN, OPEN, RUNNING

_COLUMNS = [getattr(SyncRun, name) for name in RunRow.__dataclass_fields__]


@dataclass(frozen=True)
class Standing:
    """The runs that say where a mapping stands; dry runs say nothing.

    A run that was red and is at work again, as tasks of it were cleared, is red until it ends anew: it has a reason.

    :param ended: the last run that ended, if it is for all members.
    :param chosen: a later one for chosen members, if there is any.
    :param running: the run that is at work, or was killed and not closed yet.
    :param awaiting: the run that waits for a person.
    :param green: the last run for all members that ended green.
    """

    ended: RunRow | None
    chosen: RunRow | None
    running: RunRow | None
    awaiting: RunRow | None
    green: RunRow | None

    @property
    def green_at(self) -> datetime | None:
        """When a run for all members last ended green."""
        return self.green.ended_at if self.green else None

    @property
    def red(self) -> RunRow | None:
        """The run because of which the mapping is not green: a green one for a few members does not heal the scan."""
        return next((run for run in (self.ended, self.chosen) if run and run.state != "succeeded"), None)


def standing(ledger: Ledger, dag_id: str) -> Standing:
    """Return where the mapping of a DAG stands."""
    whole, ended = SyncRun.strategy != CHOSEN, SyncRun.state.not_in(OPEN) | SyncRun.reason.is_not(None)
    last = _last(ledger, dag_id, whole, ended)
    chosen = _last(ledger, dag_id, ~whole, ended)
    return Standing(
        ended=last,
        chosen=chosen if chosen and (last is None or chosen.id > last.id) else None,
        running=_last(ledger, dag_id, SyncRun.state == RUNNING),
        awaiting=_last(ledger, dag_id, SyncRun.state == AWAITING),
        green=_last(ledger, dag_id, whole, SyncRun.state == "succeeded"),
    )


def _last(ledger: Ledger, dag_id: str, *which: ColumnElement[bool]) -> RunRow | None:
    query: Any = select(*_COLUMNS).where(SyncRun.dag_id == dag_id, SyncRun.dry_run.is_(False), *which)
    with ledger.read() as connection:
        row = connection.execute(query.order_by(SyncRun.id.desc()).limit(1)).one_or_none()
    return None if row is None else RunRow(*row)
