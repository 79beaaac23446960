"""What is not known of a customer is never taken for empty."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from ometria_provider.exceptions import LookupFailed, LookupRefused
from ometria_provider.mapping.customers import Projection
from ometria_provider.mapping.model import Mapping
from ometria_provider.mapping.records import map_columns
from ometria_provider.mapping.unread import Unread

EXPIRING = {"loyalty": "extensions.expiring_points.total", "remote": "points_expiring"}
OUT = {"value": "EXPLICITLY_OPTEDOUT", "remote": "marketing_optin"}
CUSTOMER, DETAILS = Unread("customer", "why"), Unread("details", "why")


def mapping(**keys: Any) -> Mapping:
    name = {"loyalty": "first_name", "remote": "firstname"}
    return Mapping.from_data("members", {"mode": "v2", "list": 1, "fields": [name, EXPIRING, OUT]} | keys)


def mapped(made: Mapping, *customers: dict[str, Any], unread: dict[int, Unread]) -> Any:
    rows = [Projection(made).project(one) for one in customers]
    columns = list(map(list, zip(*rows, strict=True)))
    return map_columns(made, columns, today=datetime.date(2026, 1, 1), unread=unread)


ANN = {"_id": "ann", "status": "active", "email": "ann@example.com", "first_name": "Ann"}


def test_unread_customer_is_rejected_once_and_nothing_is_made_of_it() -> None:
    found = mapped(mapping(), {"_id": "ann"}, ANN, unread={0: CUSTOMER})
    assert [(one.row, one.field, one.reason) for one in found.rejections] == [(0, "id", "why")]
    assert found.outcomes == ["rejected", "record"]
    assert (found.consents[0], found.bodies[0]) == (None, None)
    assert found.consents[1]


def test_unread_details_leave_the_consent_and_who_it_is() -> None:
    found = mapped(mapping(), ANN, unread={0: DETAILS})
    assert [(one.row, one.field) for one in found.rejections] == [(0, "points_expiring")]
    assert found.consents[0] == b'{"marketing_optin":"EXPLICITLY_OPTEDOUT"}'
    assert b"ann@example.com" in found.identities[0]


@pytest.mark.parametrize(
    ("unread", "status", "outcome"),
    [(DETAILS, "active", "rejected"), (DETAILS, "banned", "filtered"), (CUSTOMER, None, "rejected")],
    ids=["details", "details, filtered by what is known", "customer"],
)
def test_unread_fields_filter_nobody(unread: Unread, status: str | None, outcome: str) -> None:
    made = mapping(where={"extensions.expiring_points.total": {"gte": 1}})
    assert mapped(made, ANN | {"status": status}, unread={0: unread}).outcomes == [outcome]


def test_unread_details_that_only_where_reads_are_named_by_their_loyalty_field() -> None:
    made = mapping(fields=[OUT], where={"extensions.expiring_points.total": {"gte": 1}})
    assert DETAILS.field(made) == "extensions.expiring_points.total"


def test_reason_says_whether_it_was_refused_or_failed() -> None:
    refused, failed = LookupRefused("…", reason="422 (no)"), LookupFailed("…", reason="500")
    assert Unread.because("customer", refused).reason == "Antavo refuses to give the customer: 422 (no)"
    assert Unread.because("details", failed).reason == "Antavo fails to give the details: 500"
