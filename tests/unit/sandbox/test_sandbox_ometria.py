from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

Make = Callable[..., Any]


def test_push_stores_and_answers_ok(desk: Any, make_contact: Make) -> None:
    status, content = desk.push(make_contact("c1", email="ann@example.com"), make_contact("c2"))
    assert (status, content["status"], content["accepted"], content["rejected"]) == (200, "OK", 2, 0)
    assert content["request_id"]
    assert desk.ask("ometria", "/v2/contacts/customers/c1")[1] == {
        "@type": "contact",
        "@collection": "customers",
        "id": "c1",
        "customer_id": "c1",
        "email": "ann@example.com",
    }


def test_push_keeps_numbers_and_text_exact(desk: Any, make_contact: Make) -> None:
    values = {"long": 4000000000000000001, "price": 0.1, "name": "東京 ☕ łoś"}
    desk.push(make_contact(properties=values))
    assert desk.ask("ometria", "/v2/contacts/customers/c1")[1]["properties"] == values


def test_same_contact_twice_in_one_push_merges_in_order(desk: Any, make_contact: Make) -> None:
    desk.push(make_contact(firstname="A", lastname="X"), make_contact(firstname="B"))
    stored = desk.ask("ometria", "/v2/contacts/customers/c1")[1]
    assert (stored["firstname"], stored["lastname"]) == ("B", "X")


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"{}", 400, "not a JSON array"),
        (b"[1]", 400, "not a JSON array"),
        (b'[{"@type":"contact"', 400, "not a JSON array"),
        (b'[{"a":"\xff"}]', 400, "not a JSON array"),
        (json.dumps([{"@type": "contact", "id": str(n)} for n in range(101)]).encode(), 400, "too many"),
        (json.dumps([{"@type": "contact"}, {"@type": "order"}]).encode(), 400, "object type"),
        (json.dumps([{"@type": "contact", "id": "1", "x": "y" * 61_440}]).encode(), 400, "Record is too large"),
        (b" " * 6_144_001, 413, "too large"),
    ],
    ids=["object", "numbers", "cut off", "not utf-8", "101 records", "two types", "60 KB", "6 MB"],
)
def test_unreadable_push_is_refused_whole(desk: Any, body: bytes, status: int, text: str) -> None:
    answer = desk.send("ometria", "/v2/push", body=body)
    assert answer.status == status
    assert text in json.loads(answer.body)["error"]
    assert desk.sandbox.stats()["pushed"]["records"] == 0


def test_record_of_exactly_60_kb_passes(desk: Any, make_contact: Make) -> None:
    record = make_contact(properties={"x": ""})
    record["properties"]["x"] = "y" * (61_440 - len(json.dumps(record)))
    assert desk.push(record)[0] == 200
    record["properties"]["x"] += "y"
    assert desk.push(record)[0] == 400


def test_size_is_counted_in_bytes_not_characters(desk: Any) -> None:
    text = json.dumps([{"@type": "contact", "id": "1", "x": "東" * 20_500}], ensure_ascii=False).encode()
    assert desk.send("ometria", "/v2/push", body=text).status == 400


def test_invalid_record_is_accepted_and_errs_later_without_id(make_desk: Make, make_contact: Make) -> None:
    desk = make_desk(validation_delay_ms=700)
    assert desk.push(make_contact("good"), make_contact("bad", lastname=5))[1]["accepted"] == 2
    assert desk.errors() == []
    assert desk.ask("ometria", "/v2/contacts/customers/good")[0] == 404
    assert [seconds for seconds, _ in desk.waiting] == [0.7]
    desk.wind()
    assert desk.errors() == [{"error_message": "not a valid value", "error_path": "root > lastname"}]
    assert desk.ask("ometria", "/v2/contacts/customers/good")[0] == 200
    assert desk.ask("ometria", "/v2/contacts/customers/bad")[0] == 404


def test_error_log_shows_the_latest_hundred(desk: Any, make_contact: Make) -> None:
    desk.push(*(make_contact(str(n), gender="x") for n in range(60)))
    desk.push(*(make_contact(str(n), country_id="x") for n in range(70)))
    errors = [error["error_path"] for error in desk.errors()]
    assert errors == ["root > gender"] * 30 + ["root > country_id"] * 70
    assert desk.sandbox.stats()["pushed"]["late_errors"] == 130


def test_contact_leaves_and_joins_lists(desk: Any, make_contact: Make) -> None:
    desk.push(make_contact("c1", at_add_to_lists=[10, 20]), make_contact("c2", at_add_to_lists=[10]))
    desk.push(make_contact("c1", at_remove_from_lists=[10]), make_contact("c2", at_add_to_lists=[10]))
    rows = desk.ask("ometria", "/v2/lists")[1]
    assert {row["id"]: (row["size"], row["type"]) for row in rows} == {
        "10": (1, "STATIC"),
        "20": (1, "STATIC"),
        "5100": (0, "DYNAMIC"),
    }
    assert all((row["@type"], row["status"]) == ("list", "READY") for row in rows)
    assert desk.ask("ometria", "/v2/lists", mode="archived")[1] == []


def test_list_asked_for_exists_unless_lists_are_given(make_desk: Make) -> None:
    assert make_desk().ask("ometria", "/v2/lists/77")[1]["type"] == "STATIC"
    fixed = make_desk(lists=(4821,))
    assert fixed.ask("ometria", "/v2/lists/77")[0] == 404
    assert [row["id"] for row in fixed.ask("ometria", "/v2/lists")[1]] == ["4821", "5100"]
    assert fixed.ask("ometria", "/v2/lists/abc")[0] == 404


def test_unknown_or_dynamic_list_is_a_late_error(make_desk: Make, make_contact: Make) -> None:
    desk = make_desk(lists=(4821,))
    desk.push(make_contact("a", at_add_to_lists=[77]), make_contact("b", at_add_to_lists=[5100]))
    assert [error["error_path"] for error in desk.errors()] == ["root > @add_to_lists"] * 2


def test_contacts_are_paged_by_collection(desk: Any, make_contact: Make) -> None:
    desk.push(*(make_contact(f"c{n:02d}") for n in range(30)), make_contact("x") | {"@collection": "other"})
    rows = desk.ask("ometria", "/v2/contacts/customers", limit=10, offset=25)[1]
    assert [row["id"] for row in rows] == [f"c{n}" for n in range(25, 30)]
    assert desk.ask("ometria", "/v2/contacts/customers", limit=251)[0] == 400
    assert desk.ask("ometria", "/v2/contacts/customers/none")[0] == 404


def test_profile_is_found_by_email_in_any_case_and_by_id(desk: Any, make_contact: Make) -> None:
    desk.push(make_contact(email="Ann@example.com", marketing_optin="EXPLICITLY_OPTEDOUT", properties={"a": 1}))
    (profile,) = desk.ask("ometria", "/v2/profiles", email="ann@EXAMPLE.com")[1]
    assert (profile["customer_id"], profile["marketing_optin"], profile["properties"]) == (
        "c1",
        "EXPLICITLY_OPTEDOUT",
        {"a": 1},
    )
    assert desk.ask("ometria", f"/v2/profiles/{profile['id']}")[1] == [profile]
    assert desk.ask("ometria", "/v2/profiles", email="nobody@example.com")[1] == []
    assert desk.ask("ometria", "/v2/profiles/ffff")[0] == 404


def test_unsubscribes_are_filtered_and_name_the_profile(desk: Any, make_contact: Make) -> None:
    desk.push(make_contact(email="ann@example.com"))
    contacts = desk.sandbox.ometria.contacts
    contacts.unsubscribe("ann@example.com", "email", "2026-01-02T00:00:00+00:00", "user")
    contacts.unsubscribe("bob@example.com", "sms", "2026-01-05T00:00:00+00:00", "bounce")
    rows = desk.ask("ometria", "/v2/unsubscribes")[1]
    assert [row["email_address"] for row in rows] == ["ann@example.com", "bob@example.com"]
    assert rows[0].keys() == {"profile_id", "email_address", "type", "timestamp", "reason"}
    assert (rows[0]["profile_id"] is None, rows[1]["profile_id"] is None) == (False, True)
    assert len(desk.ask("ometria", "/v2/unsubscribes", since="2026-01-03")[1]) == 1
    assert len(desk.ask("ometria", "/v2/unsubscribes", since="2026-01-05T00:00:00Z")[1]) == 1
    assert desk.ask("ometria", "/v2/unsubscribes", since="yesterday")[0] == 400
    assert len(desk.ask("ometria", "/v2/unsubscribes", before="2026-01-03", type="sms")[1]) == 0


def test_unsubscribe_keeps_its_profile_when_the_email_changes(desk: Any, make_contact: Make) -> None:
    desk.push(make_contact(email="ann@example.com"))
    desk.sandbox.ometria.contacts.unsubscribe("ann@example.com", "email", "2026-01-02T00:00:00+00:00", "user")
    desk.push(make_contact(email="ann@example.org"))
    (row,) = desk.ask("ometria", "/v2/unsubscribes")[1]
    (profile,) = desk.ask("ometria", f"/v2/profiles/{row['profile_id']}")[1]
    assert (row["email_address"], profile["email"]) == ("ann@example.com", "ann@example.org")


def test_custom_event_with_repeated_id_is_stored_once(desk: Any) -> None:
    event = {"@type": "custom_event", "id": "e1", "event_type": "reward", "timestamp": "2026-01-01T00:00:00Z"}
    for _ in range(2):
        desk.push(event | {"identity_account_id": "c1"})
    assert desk.sandbox.stats()["events"] == {"stored": 1, "received": 2, "most_for_one": 2}


def test_received_records_and_repeats_are_counted(desk: Any, make_contact: Make) -> None:
    desk.push(make_contact("a"), make_contact("b", gender="wrong"))
    desk.push(make_contact("a"))
    desk.push(make_contact("a", firstname="Ann"))
    assert desk.sandbox.ometria.contacts.deliveries("customers", "a") == {"received": 3, "repeats": 1}
    assert desk.sandbox.ometria.contacts.deliveries("customers", "none") == {"received": 0, "repeats": 0}
    assert desk.sandbox.stats()["contacts"]["customers"] == {
        "stored": 1,
        "received": 4,
        "repeats": 1,
        "contacts": 2,
        "most_for_one": 3,
    }


@pytest.mark.parametrize(
    ("unknown_fields", "stored", "errors"),
    [("store", {"known": 1, "other": 2}, 0), ("drop", {"known": 1}, 0), ("error", None, 1)],
)
def test_undeclared_field_does_what_the_setting_says(
    make_desk: Make, make_contact: Make, unknown_fields: str, stored: Any, errors: int
) -> None:
    desk = make_desk(unknown_fields=unknown_fields, declared_fields=("known",))
    desk.push(make_contact(properties={"known": 1, "other": 2}))
    assert desk.ask("ometria", "/v2/contacts/customers/c1")[1].get("properties") == stored
    assert len(desk.errors()) == errors


def test_queue_headers_count_what_waits(make_desk: Make, make_contact: Make) -> None:
    desk = make_desk(queue_headers=True, validation_delay_ms=100)
    answer = desk.send("ometria", "/v2/push", body=json.dumps([make_contact()]).encode())
    assert answer.headers == {"X-QueueSize-Limit": "50000", "X-QueueSize-Remaining": "49999"}


def test_unknown_path_is_not_found(desk: Any) -> None:
    assert desk.ask("ometria", "/v2/nothing")[0] == 404
    assert desk.ask("ometria", "/v1/push", [])[0] == 404


def test_deletion_request_takes_the_person_out_of_every_collection(desk: Any, make_contact: Make) -> None:
    desk.push(make_contact("c1", email="ann@example.com"), make_contact("c2", email="bob@example.com"))
    path = "/v2/data-deletion-requests"
    assert desk.send("ometria", path, body=b"{}").status == 400
    assert desk.send("ometria", path, body=b"[1]").status == 400
    assert desk.send("ometria", path, body=b'{"email": "ann@example.com"}').status == 200
    assert desk.ask("ometria", "/v2/contacts/customers/c1")[0] == 404
    assert desk.ask("ometria", "/v2/contacts/customers/c2")[0] == 200
    assert desk.sandbox.stats()["pushed"]["deletion_requests"] == 1
