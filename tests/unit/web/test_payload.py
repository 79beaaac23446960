"""What a webhook carries."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ometria_provider.web.payload import Unreadable, read_webhook
from receiver import event


def body(content: Any) -> bytes:
    return json.dumps(content).encode()


def test_payload_event_is_read_in_either_shape():
    as_list = read_webhook(body(event()))
    as_object = read_webhook(body(event(properties={"reward": "r1"}, customer=None, Customer={"id": "c1"})))
    assert as_list == as_object
    assert (as_list.id, as_list.action, as_list.customer_id) == ("e1", "reward", "c1")


def test_payload_numbers_for_ids_and_unknown_fields_are_taken():
    read = read_webhook(body({**event(17, customer={"id": 5, "x": 1}, more=[1]), "trace": 1}))
    assert (read.id, read.customer_id) == ("17", "5")


@pytest.mark.parametrize("timestamp", [None, "yesterday", "2099-01-01T00:00:00Z", ""])
def test_payload_event_with_a_doubtful_time_is_read_for_somebody_to_see_it(timestamp):
    assert read_webhook(body(event(timestamp=timestamp))).id == "e1"


def test_payload_event_with_very_many_properties_is_read_without_them():
    read = read_webhook(body(event(properties={f"p{n}": n for n in range(100_000)})))
    assert read.problem
    assert len(read.encode()) < 500


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"event": {"id": NaN}}', "not JSON"),
        (body([]), "`event` is missing"),
        (body({}), "`event` is missing"),
        (body(event()["event"]), "`event` is missing"),
        (body({"event": None}), "not an object"),
        (body({"event": [event()["event"]]}), "not an object"),
        (body(event("")), "`id`"),
        (body(event(id=None)), "`id`"),
        (body(event(id=True)), "`id`"),
        (body(event(id={"a": 1})), "`id`"),
        (body(event("x" * 1000)), "`id`"),
        (body(event("a\x00b")), "`id`"),
        (body(event(action=None)), "`action`"),
        (body(event(customer=None)), "`customer.id`"),
        (body(event(customer={})), "`customer.id`"),
        (body(event(customer={"id": "sécret\n"})), "`customer.id`"),
    ],
)
def test_payload_unknown_shape_says_field_and_what_to_send_and_no_value(content, said):
    with pytest.raises(Unreadable, match=said) as error:
        read_webhook(content)
    assert '{"event"' in str(error.value)
    assert "sécret" not in str(error.value)
