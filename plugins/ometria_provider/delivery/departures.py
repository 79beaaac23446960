"""Who left, why, and what Ometria is told about it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from ometria_provider.delivery.digests import encode

#: What becomes of a member who left (`departed` of a mapping file).
Mode = Literal["remove_from_list", "ignore", "opt_out"]

OPTED_OUT = "opted out in Antavo"
ABSENT = "absent from two complete scans in a row"
FILTERED = "left the mapping's `where`"


def why_missing(contact_id: str, absent_run_id: int | None, *, run_id: int, opted_out: Collection[str]) -> str | None:
    """Return why somebody whom a run did not read departs; None: missing for the first time, which proves nothing.

    :param absent_run_id: the complete scan that missed the contact first; `run_id` itself when its gate is cleared.
    :param opted_out: contacts with an `opt_out` event since the last run. Such customers vanish from both APIs
        (contract/antavo.md, "Customers"); one who is still read has joined again.
    """
    if contact_id in opted_out:
        return OPTED_OUT
    return None if absent_run_id in (None, run_id) else ABSENT


def farewell(contact_id: str, *, collection: str, list_id: int | None, mode: Mode, force: bool = False) -> bytes | None:
    """Return the record that takes somebody off the list; None when there is nothing to say.

    The id is all that is known of a customer who is gone. Ometria merges what a record names (contract/ometria.md,
    `POST /push`), so every other field stays as it is.

    :param list_id: the list that the contact was put on.
    :param force: an opt-out beats every other source (`consent.force_opt_out` of the mapping file).
    """
    said: dict[str, Any] = {}
    if list_id is not None:
        said["@remove_from_lists"] = [list_id]
    if mode == "opt_out":
        said |= {"marketing_optin": "EXPLICITLY_OPTEDOUT", **({"@force_optin": True} if force else {})}
    if not said or mode == "ignore":
        return None
    return encode({"@type": "contact", "@collection": collection, "@merge": True, "id": contact_id, **said})


def left_the_where(rule: str | None) -> str:
    """Return the reason of those who departed because the mapping's filter leaves them out now.

    :param rule: why they are filtered.
    """
    return f"{FILTERED}: {(rule or '').removeprefix('where: ')}"


def complaints(departed: int, refused: int, doubtful: int) -> list[str]:
    """Return what makes a run red of the members who left.

    :param refused: records that Ometria refused alone.
    :param doubtful: records in requests in whose answer Ometria counted rejected ones.
    """
    found = []
    if refused and not departed:
        found.append(f"Nobody who left was taken off the list: Ometria refused all {refused:,} records.")
    if doubtful:
        found.append(
            f"{doubtful:,} members who left may be on the list still: Ometria counted rejected records in the requests "
            "that take them off."
        )
    return found


def plain_reason(reason: str) -> str:
    """Return the kind of a departure's reason: a filter's rule is left out."""
    return FILTERED if reason.startswith(FILTERED) else reason
