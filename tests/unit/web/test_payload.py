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


def test_payload_event_of_the_future_is_read_for_somebody_to_see_it():
    assert read_webhook(body(event(timestamp="2099-01-01T00:00:00Z"))).id == "e1"


@pytest.mark.parametrize("properties", [{}, []])
def test_payload_event_whose_properties_are_empty_is_read(properties):
    assert read_webhook(body(event(properties=properties))).properties == {}


@pytest.mark.parametrize("timestamp", [None, "yesterday", ""])
def test_payload_event_without_a_time_is_left_to_antavos_own_list(timestamp):
    with pytest.raises(Unreadable, match=r"^timestamp is"):
        read_webhook(body(event(timestamp=timestamp)))


def test_payload_event_with_very_many_properties_is_left_to_antavos_own_list():
    with pytest.raises(Unreadable, match="more than 1,000 properties"):
        read_webhook(body(event(properties={f"p{n}": n for n in range(100_000)})))


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
        (body(event(properties=None)), "`properties` of the event are missing"),
        (body({"event": {**event()["event"], "properties": None}}), "`properties` of the event are missing"),
        (body(event(properties="sécret")), "neither object nor list"),
    ],
)
def test_payload_unknown_shape_says_field_and_what_to_send_and_no_value(content, said):
    with pytest.raises(Unreadable, match=said) as error:
        read_webhook(content)
    assert '{"event"' in str(error.value)
    assert "sécret" not in str(error.value)
