"""What needs somebody's attention now, told from the ledger and the files: alerts, pages and `doctor` ask here.

It needs no scheduler and no DAG: a sync that Airflow skipped, whose DAG is paused, or whose file is broken is late all
the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeGuard

from ometria_provider.dagdefaults import CONTACT_SYNC, campaign_events_id
from ometria_provider.exceptions import Misconfigured
from ometria_provider.ledger import approvals, cursors, deliveries, incidents
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.incidents import Found
from ometria_provider.ledger.standing import Standing, standing
from ometria_provider.mapping.files import Problem, check_folder, mapping_files, schedule_of
from ometria_provider.mapping.freshness import PATIENCE, stale_from
from ometria_provider.settings import Settings
from ometria_provider.text import moment
from ometria_provider.workflows.accounts import Campaigns, load_accounts

#: Topics of incidents: a DAG has one of each at a time.
SYNC, APPROVAL, CAMPAIGN = "sync", "approval", "campaign"

#: Kinds of incidents, each with its section in the runbook.
KINDS = {
    "red": "A sync is red",
    "stale": "A sync is late",
    "broken": "A mapping file is broken",
    "approval": "A run waits for approval",
    "campaign": "Campaigns are late",
}


#: The schedule of a connection's campaigns.
EVERY_MINUTE = ("* * * * *", "UTC")

#: A file that was written within this time may be half of what somebody is saving.
SETTLED_AFTER = timedelta(minutes=1)

#: So many events of a workflow in a row that were rejected within that time are no chance.
IN_A_ROW, JUDGED_WITHIN = 3, timedelta(days=1)


@dataclass(frozen=True)
class Freshness:
    """How fresh a scheduled mapping is.

    :param green_at: when it last finished green; None: never.
    :param stale_at: when it counts, or has counted, as late; None: it has no schedule that ever comes.
    """

    schedule: str
    timezone: str
    green_at: datetime | None
    stale_at: datetime | None

    def is_stale(self, now: datetime) -> bool:
        """Say whether it is late."""
        return self.stale_at is not None and self.stale_at <= now


@dataclass(frozen=True)
class Watched:
    """One of our DAGs, as the files tell of it.

    :param name: the mapping's name, or the Antavo connection's.
    :param schedule: cron expression or preset, and time zone; None: only by hand.
    :param since: from when on that schedule is expected; None: nobody has looked yet.
    :param broken: the first thing that is wrong with the mapping's file, in words; empty: nothing that stops it.
    :param being_written: what is broken may be whole in a moment: the file changed just now.
    """

    dag_id: str
    name: str
    schedule: tuple[str, str] | None
    since: datetime | None
    campaigns: Campaigns | None = None
    broken: str = ""
    being_written: bool = False


def watched_dags(settings: Settings, ledger: Ledger, *, only: str | None = None) -> list[Watched]:
    """Return what there is to be watched: each mapping file, broken ones too, and each connection of workflows.

    :param only: the id of a DAG.
    :raises Misconfigured: when the mappings folder is not there: that everything is well is not what that means.
    """
    # All files, whichever is asked for: two may claim one collection.
    mappings, problems = check_folder(settings.mappings_folder)
    readable = {mapping.name: mapping for mapping in mappings}
    broken = {problem.file: problem for problem in reversed(problems) if not problem.warning}
    known = incidents.watched(ledger)
    found = []
    for dag_id, files in mapping_files(settings.mappings_folder).items():
        if only not in (None, dag_id):
            continue
        seen = known.get(dag_id)
        mapping = readable.get(files[0].stem)
        if mapping is not None:
            schedule = (mapping.schedule, mapping.timezone) if mapping.schedule else None
        else:
            # Of files that cannot be read at all the one that it had.
            before = (seen.schedule, seen.timezone) if seen else None
            schedule = next(filter(None, map(schedule_of, files)), before)
        problem = next((broken[str(path)] for path in files if str(path) in broken), None)
        found.append(
            Watched(
                dag_id,
                files[0].stem,
                schedule,
                seen.since if seen else None,
                broken=_in_words(problem) if problem else "",
                being_written=problem is not None and any(map(_is_being_written, files)),
            )
        )
    if only is not None and only.startswith(CONTACT_SYNC):
        return found
    accounts = load_accounts(settings.workflows_folder) if settings.workflows_folder.is_dir() else {}
    for account, campaigns in accounts.items():
        dag_id = campaign_events_id(account)
        if only in (None, dag_id):
            since = known[dag_id].since if dag_id in known else None
            writing = any(_is_being_written(settings.workflows_folder / name) for name in campaigns.broken)
            found.append(Watched(dag_id, account, EVERY_MINUTE, since, campaigns, being_written=writing))
    return found


def _is_being_written(path: Path) -> bool:
    """Say whether a file changed just now; what another clock dates into the future did not."""
    try:
        age = datetime.now(UTC).timestamp() - path.stat().st_mtime
    except OSError:
        return True
    return 0 <= age < SETTLED_AFTER.total_seconds()


def _in_words(problem: Problem) -> str:
    line = f", line {problem.line}" if problem.line else ""
    return f"{Path(problem.file).name}{line}: {problem.message}"


def needing_attention(ledger: Ledger, settings: Settings, dags: Iterable[Watched], now: datetime) -> list[Found]:
    """Return what is wrong now with some DAGs.

    :param dags: as :func:`watched_dags` has them.
    """
    found: list[Found] = []
    for dag in dags:
        if dag.campaigns is None:
            found += _of_mapping(ledger, dag, standing(ledger, dag.dag_id), settings, now)
        else:
            found += _of_campaigns(ledger, dag, dag.campaigns, now)
    return found


def freshness(dag: Watched, green_at: datetime | None, settings: Settings) -> Freshness | None:
    """Return how fresh a mapping is, or None when it has no schedule.

    One that never finished green is expected from when its schedule was first seen.

    :param green_at: when it last finished green (`ledger.standing`).
    """
    if dag.schedule is None:
        return None
    starts = [at for at in (green_at, dag.since) if at is not None]
    stale_at = stale_from(*dag.schedule, max(starts), stale_after(settings)) if starts else None
    return Freshness(*dag.schedule, green_at, stale_at)


def is_late(fresh: Freshness | None, where: Standing, now: datetime) -> TypeGuard[Freshness]:
    """Say whether a mapping is late, and nobody knows why: one that waits for a person says so itself."""
    return fresh is not None and fresh.is_stale(now) and where.awaiting is None


def stale_after(settings: Settings) -> int:
    """Return after how many schedules without a green run a mapping counts as late.

    :raises Misconfigured: when the option is no whole number above 0.
    """
    text = settings.stale_after
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise Misconfigured(f"`[ometria] stale_after` is {text!r}: write a whole number of schedules, 1 or more.")
    return int(text)


def _of_mapping(ledger: Ledger, dag: Watched, where: Standing, settings: Settings, now: datetime) -> Iterator[Found]:
    fresh = freshness(dag, where.green_at, settings)
    if run := where.red:
        yield Found(dag.dag_id, SYNC, "red", run.reason or f"Run {run.id} {run.state}.", run.id)
    elif dag.broken:
        words = f"{dag.broken}. Nothing runs until this is mended: `ometria-sync mappings check` shows all of it."
        yield Found(dag.dag_id, SYNC, "broken", words, where.ended.id if where.ended else None)
    elif is_late(fresh, where, now):
        last = f"since {moment(fresh.green_at)}" if fresh.green_at else "ever"
        at_work = where.running
        why = (
            f"Run {at_work.id} is at work since {moment(at_work.started_at)}, or was killed."
            if at_work
            else "Is its DAG paused or broken, or Airflow's scheduler down?"
        )
        words = (
            f"{dag.name} has not finished green {last}, and is scheduled `{fresh.schedule}` ({fresh.timezone}): "
            f"{stale_after(settings)} runs are missing. {why}"
        )
        yield Found(dag.dag_id, SYNC, "stale", words, where.ended.id if where.ended else None)
    if run := where.awaiting:
        yield Found(dag.dag_id, APPROVAL, "approval", _question(ledger, run.id), run.id, of_one_run=True)


def _question(ledger: Ledger, run_id: int) -> str:
    """Say what a run asks a person for."""
    asked = approvals.find(ledger, run_id)
    until = f" until {moment(asked.until)}" if asked else ""
    why = f" {' '.join(asked.reasons)}" if asked else ""
    return f"Run {run_id} waits{until} for a person to approve it.{why}"


def _of_campaigns(ledger: Ledger, dag: Watched, campaigns: Campaigns, now: datetime) -> Iterator[Found]:
    reasons = [
        *_broken(campaigns),
        *_not_collected(ledger, dag, campaigns, now),
        *_waiting(ledger, dag.name, now),
        *_all_rejected(ledger, dag.name, campaigns, now),
    ]
    if reasons:
        yield Found(dag.dag_id, CAMPAIGN, "campaign", " ".join(reasons))


def _broken(campaigns: Campaigns) -> Iterator[str]:
    if campaigns.broken:
        files = ", ".join(campaigns.broken)
        yield f"{files} cannot be used, and its events wait: `ometria-sync workflows check` shows why."


def _not_collected(ledger: Ledger, dag: Watched, campaigns: Campaigns, now: datetime) -> Iterator[str]:
    """Say so when nobody has read the connection's events for a while: its DAG runs every minute.

    A workflow that no run has seen yet is not late: a new DAG is paused until somebody wants campaigns to start.
    """
    marks = cursors.all_of(ledger, dag.name, "")
    read = [marks.get(f"collected:{name}") or marks.get(f"workflow:{name}") or now for name in campaigns.workflows]
    if read and (last := min(read)) < now - PATIENCE:
        yield f"Events of {dag.name} were last read at {moment(last)}: is the DAG paused, or does Antavo not answer?"


def _waiting(ledger: Ledger, account: str, now: datetime) -> Iterator[str]:
    """Say so when events were tried and could not be delivered for a while."""
    if left := deliveries.left_waiting(ledger, account, before=now - PATIENCE):
        count, oldest = left
        waiting = timedelta(seconds=round((now - oldest).total_seconds()))
        events = "1 event waits" if count == 1 else f"{count:,} events wait"
        yield f"{events} to be delivered, the oldest for {waiting}."


def _all_rejected(ledger: Ledger, account: str, campaigns: Campaigns, now: datetime) -> Iterator[str]:
    """Say so when a workflow gets nothing through: what its last events were rejected for is no matter of one event."""
    for name in campaigns.workflows:
        last = deliveries.last_judged(ledger, account, name, since=now - JUDGED_WITHIN, limit=IN_A_ROW)
        if len(last) == IN_A_ROW and all(state == deliveries.REJECTED for state, _ in last):
            yield f"The last {IN_A_ROW} events of {name} were all rejected, the latest: {last[0][1]}."


def oldest_undelivered(ledger: Ledger, dags: Iterable[Watched]) -> dict[str, datetime | None]:
    """Return since when something may be undelivered, by DAG id; None: nothing is.

    Of a scheduled mapping: since its last green run for all members began; of one without any since its schedule was
    first seen (one that nobody has seen yet is not there); of campaigns: since the oldest event came that waits.
    """
    found: dict[str, datetime | None] = {}
    for dag in dags:
        if dag.campaigns is not None:
            found[dag.dag_id] = deliveries.oldest_undone(ledger, dag.name)
        elif dag.schedule:
            green = standing(ledger, dag.dag_id).green
            if since := green.started_at if green else dag.since:
                found[dag.dag_id] = since
    return found


def look(ledger: Ledger, settings: Settings, *, only: str | None = None) -> None:
    """Bring the ledger's incidents up to date with what is wrong now.

    A file that is broken and was written just now opens no incident, and ends none, until the next look: an editor or a
    copy may be half through (docs/adr/0067). Pages and `doctor` show it at once.

    :param only: the id of the DAG to look at; None: all, and which schedules are in force.
    """
    dags = watched_dags(settings, ledger, only=only)
    if only is None:
        known = incidents.watch(ledger, {dag.dag_id: dag.schedule for dag in dags if dag.schedule})
        dags = [replace(dag, since=known[dag.dag_id].since) if dag.schedule else dag for dag in dags]
    found = needing_attention(ledger, settings, dags, datetime.now(UTC))
    writing = {dag.dag_id for dag in dags if dag.being_written}
    unsure = [one for one in found if one.dag_id in writing and one.kind in ("broken", CAMPAIGN)]
    sure = [one for one in found if one not in unsure]
    incidents.bring_up_to_date(ledger, sure, unsure=unsure, dag_ids=None if only is None else [only])


__all__ = [
    "KINDS",
    "Freshness",
    "Watched",
    "freshness",
    "is_late",
    "look",
    "needing_attention",
    "oldest_undelivered",
    "stale_after",
    "watched_dags",
]
