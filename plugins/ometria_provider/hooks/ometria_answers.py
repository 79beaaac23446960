"""What Ometria's answers look like, and what is wrong with one that does not (contract/ometria.md)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ometria_provider.hooks.answer import Action, Verdict, scrub, without_addresses


@dataclass(frozen=True)
class PushAnswer:
    """Ometria acknowledged a push; it validates later, so ``rejected`` may grow (contract/ometria.md "its answer").

    :param accepted: records, as Ometria counts them; 0 when it does not say.
    :param rejected: the same.
    :param request_id: Ometria's, for its support.
    """

    accepted: int
    rejected: int
    request_id: str | None


class LogEntry(NamedTuple):
    """One error of Ometria's log, about some record of somebody's (contract/ometria.md, `GET /push/_errors`).

    :param message: its words, without anything that looks like a value.
    :param path: where in the record, as in ``root > lastname``.
    """

    message: str
    path: str


@dataclass(frozen=True)
class ContactList:
    """A list of contacts.

    :param id: what a mapping's ``list`` names.
    :param size: members, None when Ometria does not say.
    :param type: ``STATIC`` or ``DYNAMIC``; only a static list takes members.
    :param status: as in ``READY``.
    """

    id: int
    title: str
    size: int | None
    type: str
    status: str


@dataclass(frozen=True)
class Unsubscribed:
    """Somebody unsubscribed in Ometria itself.

    :param at: when; the time of reading when Ometria's is none.
    """

    profile_id: str | None
    email: str | None
    at: datetime.datetime


def is_absent(verdict: Verdict) -> bool:
    """Say whether an answer means that there is no such thing."""
    return verdict.action is Action.ABSENT


def read_push(answer: Mapping[str, Any]) -> PushAnswer:
    """Read the answer to a push."""
    request_id = answer.get("request_id")
    return PushAnswer(
        accepted=_count(answer.get("accepted")) or 0,
        rejected=_rejected(answer.get("rejected")),
        request_id=None if request_id is None else str(request_id),
    )


def read_error(row: Mapping[str, Any]) -> LogEntry:
    """Read one entry of the error log."""
    path = without_addresses(str(row.get("error_path") or ""))
    return LogEntry(scrub(str(row.get("error_message") or "")), path[:250])


def read_list(row: Any) -> ContactList | None:
    """Read a list; ids are numeric texts. None when it is not one."""
    if not isinstance(row, dict) or not str(row.get("id", "")).isdecimal():
        return None
    return ContactList(
        id=int(row["id"]),
        title=str(row.get("title") or ""),
        size=_count(row.get("size")),
        type=str(row.get("type") or "").upper(),
        status=str(row.get("status") or ""),
    )


def read_unsubscribe(row: dict[str, Any]) -> Unsubscribed:
    """Read one row of the unsubscribes."""
    email, profile_id = row.get("email_address"), row.get("profile_id")
    return Unsubscribed(
        profile_id=None if profile_id in (None, "") else str(profile_id),
        email=email if isinstance(email, str) and email.strip() else None,
        at=_moment(row.get("timestamp")),
    )


def check_push(data: Any) -> str | None:
    """Say what is wrong with the answer to a push."""
    acknowledged = isinstance(data, dict) and str(data.get("status")).upper() == "OK"
    return None if acknowledged else 'no `"status": "OK"` in the answer'


def check_lists(data: Any) -> str | None:
    """Say what is wrong with an answer that should be lists."""
    return None if isinstance(data, list) else "no array of lists in the answer; is the host Ometria's?"


def check_unsubscribes(data: Any) -> str | None:
    """Say what is wrong with an answer that should be unsubscribes."""
    return None if isinstance(data, list) else "no array of unsubscribes in the answer; is the host Ometria's?"


def check_profile(data: Any) -> str | None:
    """Say what is wrong with an answer that should be a profile, or several."""
    return None if isinstance(data, (list, dict)) else "no profile in the answer; is the host Ometria's?"


def check_list(data: Any) -> str | None:
    """Say what is wrong with an answer that should be one list."""
    return None if read_list(data) else "no list in the answer; is the host Ometria's?"


def check_object(data: Any) -> str | None:
    """Say what is wrong with an answer that should be one contact."""
    return None if isinstance(data, dict) else "no object in the answer; is the host Ometria's?"


def check_page(data: Any) -> str | None:
    """Say what is wrong with a page of contacts."""
    right = isinstance(data, list) and all(isinstance(row, dict) for row in data)
    return None if right else "no array of contacts in the answer"


def check_errors(data: Any) -> str | None:
    """Say what is wrong with an error log."""
    right = isinstance(data, list) and all(isinstance(row, dict) for row in data)
    return None if right else "no array of errors in the answer"


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _rejected(value: Any) -> int:
    """Read how many records Ometria counts as rejected; a count that cannot be read is a doubt, and so at least one."""
    if value is None:
        return 0
    number = int(value) if isinstance(value, str) and value.strip().isdecimal() else _count(value)
    return 1 if number is None else number


def _moment(value: Any) -> datetime.datetime:
    """Read a time, ISO 8601 or unix seconds; what is none counts as now: an opt-out never gets lost."""
    try:
        if isinstance(value, (int, float)):
            return datetime.datetime.fromtimestamp(value, datetime.UTC)
        found = datetime.datetime.fromisoformat(value)
    except (TypeError, ValueError, OverflowError, OSError):
        return datetime.datetime.now(datetime.UTC)
    return found.astimezone(datetime.UTC) if found.tzinfo else found.replace(tzinfo=datetime.UTC)
