"""Which version of this package works where: each process that works says so, and `doctor` compares."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Literal, NamedTuple

from sqlalchemy import delete, select

from ometria_provider import __version__
from ometria_provider.exceptions import SyncError
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import Installation
from ometria_provider.ledger.statements import insert

log = logging.getLogger(__name__)

Role = Literal["worker", "triggerer", "api-server"]

#: A process that goes on says so again after so many seconds.
AGAIN = 60.0

#: How long ago an installation may have been seen to count: those of machines that are gone stay in the ledger.
RECENT = timedelta(days=1)

#: How long it is kept.
KEPT = timedelta(days=7)

_noted: dict[tuple[str, Role], float] = {}


class Seen(NamedTuple):
    """An installation at work.

    :param role: what the process is to Airflow.
    """

    host: str
    role: str
    version: str
    first_seen_at: datetime
    seen_at: datetime


def note(ledger: Ledger, role: Role) -> None:
    """Say that this version works here. A ledger that cannot be written keeps nobody from working."""
    key = (str(ledger), role)
    if monotonic() - _noted.get(key, -AGAIN) < AGAIN:
        return
    _noted[key] = monotonic()
    now = datetime.now(UTC)
    row = Seen(socket.gethostname()[:250], role, __version__, now, now)
    statement = insert(ledger, Installation).values(**row._asdict())
    statement = statement.on_conflict_do_update(index_elements=["host", "role", "version"], set_={"seen_at": now})
    try:
        with ledger.write_at_once() as connection:
            connection.execute(statement)
            connection.execute(delete(Installation).where(Installation.seen_at < now - KEPT))
    except SyncError as error:
        log.warning("Which version works here could not be written down: %s", error)


def seen(ledger: Ledger, now: datetime) -> list[Seen]:
    """Return the installations that were at work of late, the last one first."""
    columns = [getattr(Installation, name) for name in Seen._fields]
    query = select(*columns).where(Installation.seen_at >= now - RECENT).order_by(Installation.seen_at.desc())
    with ledger.read() as connection:
        return [Seen._make(row) for row in connection.execute(query)]


def others(found: Sequence[Seen], version: str) -> list[Seen]:
    """Return the installations of another version that work beside this one.

    What an upgrade replaced is none of them: it was not seen any more since this version first worked in its place. Of
    a machine only the version that it was seen with last counts.
    """
    last: dict[tuple[str, str], Seen] = {}
    for one in found:
        known = last.get((one.host, one.role))
        last[one.host, one.role] = one if known is None or one.seen_at > known.seen_at else known
    since = min((one.first_seen_at for one in found if one.version == version), default=None)
    return [one for one in last.values() if one.version != version and (since is None or one.seen_at > since)]


def is_older(version: str, than: str) -> bool:
    """Say whether a version is older than another one, by its numbers."""
    return _numbers(version) < _numbers(than)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
