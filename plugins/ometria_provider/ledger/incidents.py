"""Incidents: what is wrong with a DAG of ours, from when to when, and whether people were told of it.

An incident is written down before anybody is told, and the telling afterwards: a process that dies in between leaves it
to the next one. Of two processes that look at the same time one opens it, and one tells.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, delete, or_, select, text, update

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import Incident, WatchedSchedule
from ometria_provider.ledger.statements import insert

#: How long a process has to tell of an incident before another one may take it for dead.
LEASE = timedelta(minutes=10)

#: An incident that is not over, in the words of its unique index.
_IS_OPEN = text("over_at IS NULL")


@dataclass(frozen=True)
class IncidentRow:
    """One row of `incident`."""

    id: int
    dag_id: str
    topic: str
    kind: str
    sync_run_id: int | None
    words: str
    opened_at: datetime
    told_at: datetime | None
    over_at: datetime | None
    over_told_at: datetime | None
    failure: str | None


@dataclass(frozen=True)
class Found:
    """What is wrong now.

    :param topic: a DAG has one incident of a topic at a time.
    :param kind: what it is; `runbook.md` has a section for each.
    :param words: the sentence for people; no member's data.
    :param sync_run_id: the run that shows it.
    :param of_one_run: it is about that run alone: another run's is another incident.
    """

    dag_id: str
    topic: str
    kind: str
    words: str
    sync_run_id: int | None = None
    of_one_run: bool = False

    def is_still(self, known: IncidentRow) -> bool:
        """Say whether an open incident of this DAG and topic is the same one."""
        return not self.of_one_run or known.sync_run_id == self.sync_run_id


_COLUMNS = [getattr(Incident, name) for name in IncidentRow.__dataclass_fields__]

#: Whose telling is due: of its beginning; of its end, when its beginning was told.
_BEGINNING_DUE = and_(Incident.told_at.is_(None), Incident.over_at.is_(None))
_END_DUE = and_(Incident.told_at.is_not(None), Incident.over_at.is_not(None), Incident.over_told_at.is_(None))


def bring_up_to_date(
    ledger: Ledger,
    found: Collection[Found],
    *,
    unsure: Collection[Found] = (),
    dag_ids: Collection[str] | None = None,
) -> None:
    """Open what is newly wrong, and end what is not wrong any more.

    What was stale and is red by now is told again: somebody who mended the one waits for good news in vain. Red once
    more, for another reason, is the same incident: it says the latest reason, and nobody is told again. What is about
    one run alone ends with that run: of the next one people hear anew.

    :param unsure: what may not be wrong: its incident stays as it is, open or not there.
    :param dag_ids: what was looked at; None: everything.
    """
    now = datetime.now(UTC)
    wrong = {(one.dag_id, one.topic): one for one in found}
    looked_at = [] if dag_ids is None else [Incident.dag_id.in_(list(dag_ids))]
    with ledger.write() as connection:
        open_ones = {
            (row.dag_id, row.topic): IncidentRow(*row)
            for row in connection.execute(select(*_COLUMNS).where(Incident.over_at.is_(None), *looked_at))
        }
        still = {(one.dag_id, one.topic) for one in unsure}
        still |= {key for key, one in wrong.items() if key in open_ones and one.is_still(open_ones[key])}
        if gone := [row.id for key, row in open_ones.items() if key not in still]:
            connection.execute(update(Incident).where(Incident.id.in_(gone)).values(over_at=now, claimed_at=None))
        for key, one in wrong.items():
            values: dict[str, Any] = {"kind": one.kind, "words": one.words, "sync_run_id": one.sync_run_id}
            known = open_ones[key] if key in still else None
            if known is None:
                statement = insert(ledger, Incident).values(dag_id=one.dag_id, topic=one.topic, opened_at=now, **values)
                ours = {"index_elements": ["dag_id", "topic"], "index_where": _IS_OPEN}
                connection.execute(statement.on_conflict_do_nothing(**ours))
            elif any(getattr(known, name) != value for name, value in values.items()):
                again = {"told_at": None, "claimed_at": None} if known.kind != one.kind else {}
                connection.execute(update(Incident).where(Incident.id == known.id).values(**values, **again))


def claim_due(ledger: Ledger, *, dag_ids: Collection[str] | None = None) -> list[IncidentRow]:
    """Return what this process is to tell of; nobody else gets it until :func:`told`, or for the time of a lease.

    :param dag_ids: only of these.
    """
    now = datetime.now(UTC)
    due = [
        or_(_BEGINNING_DUE, _END_DUE),
        or_(Incident.claimed_at.is_(None), Incident.claimed_at < now - LEASE),
        *([] if dag_ids is None else [Incident.dag_id.in_(list(dag_ids))]),
    ]
    with ledger.write() as connection:
        # On PostgreSQL the update looks at each row again once it has its lock, so that only one process gets it.
        claimed = update(Incident).where(*due).values(claimed_at=now).returning(Incident.id)
        ids = list(connection.execute(claimed).scalars())
        rows = connection.execute(select(*_COLUMNS).where(Incident.id.in_(ids)).order_by(Incident.id))
        return [IncidentRow(*row) for row in rows]


def told(ledger: Ledger, incident: IncidentRow, *, failure: str | None = None) -> None:
    """Write down that people were told, of the beginning or of the end, whichever was due.

    :param failure: which of the services did not take it; the others did.
    """
    which = "told_at" if incident.over_at is None else "over_told_at"
    _after_telling(ledger, incident, {which: datetime.now(UTC), "failure": failure})


def not_told(ledger: Ledger, incident: IncidentRow, failure: str) -> None:
    """Write down why nobody could be told; the next look tries again."""
    _after_telling(ledger, incident, {"failure": failure})


def _after_telling(ledger: Ledger, incident: IncidentRow, values: Mapping[str, Any]) -> None:
    with ledger.write() as connection:
        connection.execute(
            update(Incident)
            # Unless it has become another one in the meantime.
            .where(Incident.id == incident.id, Incident.kind == incident.kind)
            .values(**values, claimed_at=None)
        )


def list_incidents(ledger: Ledger, *, only_open: bool = False, limit: int | None = 20) -> list[IncidentRow]:
    """Return incidents, those first that are open, then the newest first."""
    query = select(*_COLUMNS).order_by(Incident.over_at.is_not(None), Incident.id.desc()).limit(limit)
    if only_open:
        query = query.where(Incident.over_at.is_(None))
    with ledger.read() as connection:
        return [IncidentRow(*row) for row in connection.execute(query)]


def untold(ledger: Ledger) -> list[IncidentRow]:
    """Return the open incidents that nobody was told of."""
    query = select(*_COLUMNS).where(_BEGINNING_DUE).order_by(Incident.id)
    with ledger.read() as connection:
        return [IncidentRow(*row) for row in connection.execute(query)]


def prune_incidents(connection: Connection, before: datetime) -> None:
    """Delete incidents that were over before a time."""
    connection.execute(delete(Incident).where(Incident.over_at < before))


def watched(ledger: Ledger) -> dict[str, WatchedRow]:
    """Return every schedule that is watched, by DAG id."""
    columns = [getattr(WatchedSchedule, name) for name in WatchedRow.__dataclass_fields__]
    with ledger.read() as connection:
        return {row.dag_id: WatchedRow(*row) for row in connection.execute(select(*columns))}


@dataclass(frozen=True)
class WatchedRow:
    """A schedule, and since when it is the one in force."""

    dag_id: str
    schedule: str
    timezone: str
    since: datetime


def watch(ledger: Ledger, schedules: Mapping[str, tuple[str, str]]) -> dict[str, WatchedRow]:
    """Note the schedules that are in force, and return them: from the moment that one is seen first it is expected.

    :param schedules: all that there are: cron expression or preset and time zone, by DAG id.
    """
    known, now = watched(ledger), datetime.now(UTC)
    late = {row.dag_id for row in list_incidents(ledger, only_open=True, limit=None)}
    with ledger.write() as connection:
        for dag_id in known.keys() - schedules.keys():
            connection.execute(delete(WatchedSchedule).where(WatchedSchedule.dag_id == dag_id))
        for dag_id, (schedule, timezone) in schedules.items():
            row = known.get(dag_id)
            if row and (row.schedule, row.timezone) == (schedule, timezone):
                continue
            values = {"schedule": schedule, "timezone": timezone}
            # Another schedule does not end what is late already.
            values_now = values | ({} if row and dag_id in late else {"since": now})
            statement = insert(ledger, WatchedSchedule).values(dag_id=dag_id, **values, since=now)
            connection.execute(statement.on_conflict_do_update(index_elements=["dag_id"], set_=values_now))
    return watched(ledger)
