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
    details: int | None = None,
    dry_run: bool = False,
) -> str:
    """Return what a complete scan reads and costs, at the accounts' rates.

    :param members: how many are expected; None when nobody can tell.
    :param requests_per_minute: Antavo's limit.
    :param push_requests_per_second: Ometria's limit for pushes.
    :param details: whose details are asked for beside those who changed; None: the mapping reads no details.
    """
    of_slices = _in_slices(slices)
    if members is None:
        sending = "and sends nothing: a dry run" if dry_run else "and sends those that differ to Ometria"
        asking = "" if details is None else ", asks Antavo for the details of those who may have changed"
        return f"A complete scan {of_slices} reads a number of members that nobody knows yet{asking} {sending}."
    reading = _reading(scan_requests(members, slices), requests_per_minute)
    sending = _sending(members, push_requests_per_second, dry_run=dry_run)
    if details is not None:
        reading += _details(details, requests_per_minute)
        reading += " and one more for each other member who changed" if details < members else ""
    return f"A complete scan of about {members:,} members {of_slices}: {reading}; {sending}."


def chosen_sentence(
    *,
    chosen: int,
    members: int | None,
    slices: int,
    by_scan: bool,
    who: str = "chosen",
    requests_per_minute: float,
    push_requests_per_second: float,
    details: int | None = None,
    dry_run: bool = False,
) -> str:
    """Return what a run for chosen customers reads and costs.

    :param chosen: how many customers the run is for.
    :param members: how many Antavo has; None when nobody can tell.
    :param who: chosen by somebody, or changed.
    :param details: None: the mapping reads no details. Else they are asked for each, whatever the number: somebody
        wants these members looked at anew, or something of them changed.
    :param by_scan: they are looked for in a complete scan; else each is asked for by its id.
    """
    of = f"{chosen:,} {who} {'customer' if chosen == 1 else 'customers'}"
    sending = _sending(chosen, push_requests_per_second, dry_run=dry_run)
    asking = "" if details is None else _details(chosen, requests_per_minute)
    if not by_scan:
        return f"The run reads {of}, each by its id: {_reading(chosen, requests_per_minute)}{asking}; {sending}."
    if members is None:
        scan = f"a complete scan {_in_slices(slices)} of a number of members that nobody knows yet"
    else:
        reading = _reading(scan_requests(members, slices), requests_per_minute)
        scan = f"a complete scan of about {members:,} members {_in_slices(slices)}, {reading}"
    return f"The run reads {of} by {scan}{asking}; {sending}."


def scan_requests(members: int, slices: int) -> int:
    """Return about how many requests a complete scan costs: its pages, and the two ends of each slice."""
    return max(1, ceil(members / PAGE)) + 2 * slices


def _in_slices(slices: int) -> str:
    return f"in {slices:,} {'slice' if slices == 1 else 'slices'}"


def _reading(requests: int, requests_per_minute: float) -> str:
    return (
        f"about {_requests(requests)} to Antavo ({_minutes(requests * 60 / requests_per_minute)} at "
        f"{requests_per_minute:,.10g} a minute)"
    )


def _sending(records: int, push_requests_per_second: float, *, dry_run: bool) -> str:
    if dry_run:
        return "nothing is sent: a dry run"
    pushes = ceil(records / MAX_RECORDS)
    return (
        f"about {_requests(pushes)} to Ometria ({_minutes(pushes / push_requests_per_second)} at "
        f"{push_requests_per_second:g} a second) if nobody is unchanged"
    )


def _details(members: int, requests_per_minute: float) -> str:
    """Return what the details of so many members cost: a request each."""
    return f" and about {_requests(members)} for details ({_minutes(members * 60 / requests_per_minute)} more)"


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
