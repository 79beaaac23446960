"""Say what a run will read and what it costs, in one sentence."""

from __future__ import annotations

from math import ceil
from typing import Protocol

from ometria_provider.delivery.batches import MAX_RECORDS

#: Customers in one page of the Read API (contract/antavo.md, "Read API").
PAGE = 1_000


def plan_sentence(
    *,
    members: int | None,
    slices: int,
    requests_per_minute: float,
    push_requests_per_second: float,
    dry_run: bool = False,
) -> str:
    """Return what a complete scan reads and costs, at the accounts' rates.

    :param members: how many are expected; None when nobody can tell.
    :param requests_per_minute: Antavo's limit.
    :param push_requests_per_second: Ometria's limit for pushes.
    """
    of_slices = f"in {slices:,} {'slice' if slices == 1 else 'slices'}"
    if members is None:
        sending = "and sends nothing: a dry run" if dry_run else "and sends those that differ to Ometria"
        return f"A complete scan {of_slices} reads a number of members that nobody knows yet {sending}."
    reads = max(1, ceil(members / PAGE)) + 2 * slices
    pushes = ceil(members / MAX_RECORDS)
    sending = (
        "nothing is sent: a dry run"
        if dry_run
        else f"about {_requests(pushes)} to Ometria ({_minutes(pushes / push_requests_per_second)} at "
        f"{push_requests_per_second:g} a second) if nobody is unchanged"
    )
    return (
        f"A complete scan of about {members:,} members {of_slices}: about {_requests(reads)} to Antavo "
        f"({_minutes(reads * 60 / requests_per_minute)} at {requests_per_minute:,.10g} a minute); {sending}."
    )


def _requests(count: int) -> str:
    return f"{count:,} {'request' if count == 1 else 'requests'}"


def _minutes(seconds: float) -> str:
    """Return a time as people plan with it: whole minutes, rounded up."""
    minutes = ceil(seconds / 60)
    if minutes <= 1:
        return "under a minute"
    return f"{minutes:,} minutes"


class ContactList(Protocol):
    """A list of the Ometria account."""

    @property
    def type(self) -> str: ...


def list_problem(found: ContactList | None, *, mapping: str, list_id: int, connection: str) -> str | None:
    """Return why nobody can be added to a mapping's list, or None when all is well.

    :param found: what Ometria says of the list; None when it has no such list.
    :param connection: the Ometria connection's id.
    """
    if found is None:
        return (
            f"{mapping}.yaml names list {list_id}, and the Ometria account of connection `{connection}` has no such "
            "list. `ometria-sync lists` shows those that it has."
        )
    if found.type.upper() == "DYNAMIC":
        return (
            f"{mapping}.yaml names list {list_id}, which is a dynamic segment: Ometria fills it by its own rules, and "
            "nobody can be added. Choose a static list; `ometria-sync lists` shows the types."
        )
    return None
