"""Since when a workflow starts campaigns, and under which names it did before: told by an account's cursors alone.

A start belongs to a file's name and its trigger. A workflow that is seen with a trigger for the first time starts then;
one whose file was renamed goes on where the old name stopped. What is the same workflow is told by what it sends: the
event type, which is what starts a campaign.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from hashlib import blake2b

from ometria_provider.ledger.giving_up import GONE_AFTER
from ometria_provider.workflows.model import Workflow

Marks = Mapping[str, datetime]


def seen(workflow: Workflow) -> str:
    """Return the name of the cursor that says when a workflow's file was first seen, with whatever trigger."""
    return f"workflow:{workflow.name}"


def sends(workflow: Workflow) -> str:
    """Return the name of the cursor that says when a workflow's file was last seen to send its event type."""
    return f"{_sends(workflow)}{workflow.name}"


def started_at(workflow: Workflow, marks: Marks) -> datetime | None:
    """Return since when events start campaigns, for `start: now`; None: no collection has seen the workflow yet."""
    return marks.get(_trigger(workflow, workflow.name))


def begin(workflows: Iterable[Workflow], files: Collection[str], marks: Marks, now: datetime) -> dict[str, datetime]:
    """Return the cursors to be set for workflows that are seen with their trigger for the first time.

    :param files: names of all workflow files that the account has.
    """
    begun: dict[str, datetime] = {}
    for workflow in workflows:
        if started_at(workflow, marks) is None:
            begun[_trigger(workflow, workflow.name)] = _start(workflow, files, marks, now)
            begun.update({} if seen(workflow) in marks else {seen(workflow): now})
    return begun


def former_names(workflow: Workflow, files: Collection[str], marks: Marks) -> frozenset[str]:
    """Return the names, of files that are gone, which sent the same event type to the same Ometria account."""
    kind = _sends(workflow)
    return frozenset(name for mark in marks if mark.startswith(kind) and (name := mark[len(kind) :]) not in files)


def _start(workflow: Workflow, files: Collection[str], marks: Marks, now: datetime) -> datetime:
    changed = any(_names(mark) == workflow.name for mark in marks)
    if changed:  # it had another trigger: nobody asked to mail events of this one from before
        return now
    if seen(workflow) in marks:
        return marks[seen(workflow)]
    # Renamed: the old name was in use until now. One that was deleted long ago is another story.
    starts = [
        marks[_trigger(workflow, name)]
        for name in former_names(workflow, files, marks)
        if _trigger(workflow, name) in marks and marks[f"{_sends(workflow)}{name}"] >= now - GONE_AFTER
    ]
    return min(starts, default=now)


#: Digests stand for what may be long; names come last, as they may hold anything.
_DIGITS = 16


def _trigger(workflow: Workflow, name: str) -> str:
    return f"trigger:{_digest(workflow.trigger.event)}:{name}"


def _sends(workflow: Workflow) -> str:
    return f"sends:{_digest(workflow.connections.ometria, workflow.action.event_type)}:"


def _names(mark: str) -> str | None:
    """Return the workflow whose trigger a cursor is about; None: it is about something else."""
    return mark[len("trigger:") + _DIGITS + 1 :] if mark.startswith("trigger:") else None


def _digest(*words: str) -> str:
    return blake2b("\0".join(words).encode(), digest_size=_DIGITS // 2).hexdigest()
