"""Until when a sync must have finished green, by its schedule."""

from __future__ import annotations

from datetime import datetime, timedelta
from importlib import import_module
from zoneinfo import ZoneInfo

#: Nobody is woken sooner than that, however often a sync is scheduled: it tries again by itself first.
PATIENCE = timedelta(minutes=15)

#: croniter knows the other presets, and reads them as Airflow does.
_QUARTERLY = "0 0 1 */3 *"


def stale_from(schedule: str, timezone: str, since: datetime, times: int) -> datetime | None:
    """Return when a sync that last finished green at a time counts as stale; None: its schedule never comes.

    That is `times` runs later, with the time that the last run took on top: so a schedule with gaps (working days) is
    not stale on Monday morning, and a run that takes two hours has them.

    :param schedule: a cron expression or preset, as in a mapping file.
    """
    croniter = import_module("croniter")
    zone = ZoneInfo(timezone)
    expression = _QUARTERLY if schedule == "@quarterly" else schedule
    local = since.astimezone(zone)
    try:
        # A run that ended in the second of its schedule belongs to that one.
        before = croniter.croniter(expression, local + timedelta(seconds=1)).get_prev(datetime)
        ticks = croniter.croniter(expression, before)
        due: datetime = [ticks.get_next(datetime) for _ in range(times)][-1]
    except croniter.CroniterBadDateError:
        return None
    # In UTC: a day with 23 hours must not make the run longer.
    taken: timedelta = since - before.astimezone(since.tzinfo)
    return max(due.astimezone(since.tzinfo) + taken, since + PATIENCE)


__all__ = ["PATIENCE", "stale_from"]
