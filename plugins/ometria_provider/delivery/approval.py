"""What a person must approve before a run sends anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ometria_provider.delivery.limits import Breach

#: When a person is asked (`approve` of a mapping file); never: a broken limit halts the run.
When = Literal["above_limits", "changed_mapping", "always", "never"]


@dataclass(frozen=True)
class Question:
    """One thing to be approved.

    :param key: what it is about.
    :param members: how many it concerns: an approval holds for so many, and for no more.
    :param said: it, in a sentence; no member's data.
    :param advice: how to go on when it is meant and nobody approved it.
    """

    key: str
    members: int
    said: str
    advice: str


@dataclass(frozen=True)
class Change:
    """A mapping that is not the one by which members were sent last.

    :param since: the run that last sent by another one; None: there was none.
    """

    since: int | None


def questions(when: When, broken: Sequence[Breach], *, change: Change | None, concerned: int) -> list[Question]:
    """Return what must be approved; nothing when nobody is concerned.

    :param change: how the mapping changed; None: it did not.
    :param concerned: members to whom a record goes.
    """
    found = [Question(each.key, each.members, each.said, each.advice) for each in broken]
    to_send = f"{concerned:,} {'record is' if concerned == 1 else 'records are'} to be sent"
    if concerned and when == "always":
        said = f"Every run of this mapping wants approval (approve: always): {to_send}."
        found.append(Question("always", concerned, said, _HOW))
    elif concerned and when == "changed_mapping" and change:
        what = "No run has sent by this mapping yet" if change.since is None else _changed(change.since)
        found.append(Question("changed_mapping", concerned, f"{what} (approve: changed_mapping): {to_send}.", _HOW))
    return found


_HOW = "Start a new run and approve it, or change `approve` in the mapping file."


def _changed(since: int) -> str:
    return f"The mapping is not the one that run {since} sent by"


def covers(asked: Sequence[Question]) -> dict[str, int]:
    """Return what an approval of these holds for."""
    return {each.key: each.members for each in asked}


def uncovered(asked: Sequence[Question], approved: Mapping[str, int]) -> list[Question]:
    """Return what an approval does not hold for: it concerns other things, or more members."""
    return [each for each in asked if each.members > approved.get(each.key, -1)]
