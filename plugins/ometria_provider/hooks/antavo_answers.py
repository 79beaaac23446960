"""What Antavo's answers look like, and what is wrong with one that does not (contract/antavo.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NotRequired, TypedDict

import msgspec

from ometria_provider.hooks.answer import Action, Verdict

_NOT_FOUND = "160212"  # Antavo's code for an unknown customer


def is_unknown(verdict: Verdict) -> bool:
    """Say whether an answer means that there is no such customer."""
    return verdict.action is Action.ABSENT or str(verdict.code) == _NOT_FOUND


def check_page(data: Any) -> str | None:
    """Say what is wrong with a page of customers of the Read API."""
    payload = data.get("payload") if isinstance(data, dict) else None
    rows = payload.get("customers") if isinstance(payload, dict) else None
    if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
        return None
    return "no list payload.customers in the answer; is read_api_url the root of the Read API?"


def page_decoder(keys: Iterable[str]) -> Callable[[bytes], Any]:
    """Return what decodes of a page of customers only these keys of each, ``_id`` and ``created_at``.

    It raises for an answer of any other shape than a page's; whoever looks into that wants the whole.
    """
    customer = TypedDict("customer", dict.fromkeys((*keys, "_id", "created_at"), Any), total=False)  # type: ignore[misc]
    payload = TypedDict("payload", {"customers": list[customer]})  # noqa: UP013 (of a class made here)
    page = TypedDict("page", {"payload": payload, "error": NotRequired[Any]})  # noqa: UP013
    return msgspec.json.Decoder(page).decode


def check_events(data: Any) -> str | None:
    """Say what is wrong with a page of events; what is wrong with a row is for whoever reads it to say."""
    if isinstance(data, dict) and isinstance(data.get("data"), list):
        return None
    return "no list `data` of events in the answer; is the host the root of the Loyalty API?"


def check_count(data: Any) -> str | None:
    """Say what is wrong with the number of active customers."""
    active = data.get("active") if isinstance(data, dict) else None
    is_count = isinstance(active, int) and not isinstance(active, bool)
    return None if is_count else "no number `active` in the answer; is the host the root of the Loyalty API?"


def check_customer(data: Any) -> str | None:
    """Say what is wrong with one customer of the Read API."""
    return None if one_object(data) else "no customer in the answer; is read_api_url the root of the Read API?"


def check_found(data: Any) -> str | None:
    """Say what is wrong with the answer of a search."""
    return (
        None if found_rows(data) is not None else "no customers in the answer; is the host the root of the Loyalty API?"
    )


def found_rows(data: Any) -> list[dict[str, Any]] | None:
    """Find what a search found: a list, a list in `data`, or one object (contract/antavo.md, "Customers")."""
    if isinstance(data, dict):
        data = [data] if "id" in data else data.get("data")
    is_list = isinstance(data, list) and all(isinstance(row, dict) and row.get("id") for row in data)
    return data if is_list else None


def check_details(data: Any) -> str | None:
    """Say what is wrong with one customer of the Loyalty API."""
    found = one_object(data, "id")
    return None if found else "no customer in the answer; is the host the root of the Loyalty API?"


def check_reward(data: Any) -> str | None:
    """Say what is wrong with a reward; an empty array holds none."""
    found = data == [] or one_object(data, "id")
    return None if found else "no reward in the answer; is the host the root of the Loyalty API?"


def one_object(data: Any, key: str = "_id") -> dict[str, Any] | None:
    """Find the customer or reward, whatever envelope holds it: the contract shows only the list's.

    :param key: what the API calls its id.
    """
    for name in ("payload", "data", "customer", "customers", "reward"):
        if isinstance(data, dict) and key not in data:
            data = data.get(name, data)
        if isinstance(data, list) and len(data) == 1:
            data = data[0]
    return data if isinstance(data, dict) and key in data else None
