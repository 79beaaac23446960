"""The Loyalty API's shape of a customer, made from the Read API's (contract/antavo.md, the table under "Customers")."""

from __future__ import annotations

import datetime
from typing import Any

from ometria_provider.sandbox.members import Customer, expiring_points

_PLAIN = (
    "first_name", "last_name", "email", "mobile_phone", "birth_date", "language", "currency", "image_url",
    "score", "spent", "reserved", "expired", "pending", "purchase_total", "purchase_count", "purchase_last_date",
    "properties",
)  # fmt: skip
_TIMES = ("optin_at", "last_login_at", "updated_at")
_MONEY = ("earned", "spent", "pending", "reserved", "expired")


def unix(text: str | None) -> int | None:
    """Return an ISO 8601 time as unix seconds."""
    return None if text is None else int(datetime.datetime.fromisoformat(text).timestamp())


def loyalty_shape(customer: Customer, fields: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return a customer as the Loyalty API shows it.

    :param customer: the Read API's shape.
    :param fields: what ``fields=`` asked for: ``groups``, ``purchases.ytd``, ``expiring_points``,
        ``expiring_points.history``.
    """
    shaped = {"id": customer["_id"]} | {key: customer[key] for key in _PLAIN if key in customer}
    shaped |= {key: unix(customer.get(key)) for key in _TIMES}
    odd = sum(customer["_id"].encode()) % 2  # words come in any case
    gender, status = customer.get("gender"), customer["status"]
    shaped |= {
        "nickname": customer.get("handler"),
        "gender": gender.capitalize() if gender and odd else gender,
        "status": status.capitalize() if odd else status,
        "spendable": _left(customer, customer["score"]),
        "accounts": [_account(key, value) for key, value in customer.get("accounts", {}).items()],
        "tiers": [_tier(key, value) for key, value in customer.get("tiers", {}).items()],
    }
    if "groups" in fields:
        shaped["groups"] = [
            {"id": g, "name": g.replace("-", " ").title(), "external_id": None} for g in customer["group_id"]
        ]
    if "purchases.ytd" in fields:
        shaped["purchases"] = {"ytd": (customer.get("purchase_total") or 0) / 4}
    if fields & {"expiring_points", "expiring_points.history"}:
        points = expiring_points(customer)
        shaped["expiring_points"] = points if "expiring_points.history" in fields else {"total": points["total"]}
    return shaped


def _left(row: dict[str, Any], earned: float) -> float:
    return float(x) if (x := earned - row["spent"] - row["reserved"] - row["expired"]) % 1 else int(x)


def _account(account_id: str, account: dict[str, Any]) -> dict[str, Any]:
    kept = {key: account[key] for key in _MONEY}
    return {"id": account_id, "name": account["name"], **kept, "spendable": _left(account, account["earned"])}


def _tier(structure_id: str, tier: dict[str, Any]) -> dict[str, Any]:
    following = tier["next"] and tier["next"] | {"points": str(tier["next"]["points"])}
    return {
        "id": tier["_id"],
        **{key: tier[key] for key in ("name", "threshold", "points", "points_after_expiration")},
        "since": unix(tier["since"]),
        "expdate": unix(tier["expdate"]),
        "structure": {"id": structure_id, "name": structure_id.replace("_", " ").capitalize()},
        "next": following,
    }
