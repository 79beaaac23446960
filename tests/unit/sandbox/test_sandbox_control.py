from __future__ import annotations

import dataclasses
from typing import Any, get_args

import pytest
from ometria_provider.sandbox import control
from ometria_provider.sandbox.faults import Fault, Kind
from ometria_provider.sandbox.wire import Call


@pytest.mark.parametrize("kind", get_args(Kind))
def test_fault_kind_is_documented(kind: str) -> None:
    assert f"``{kind}``" in (control.__doc__ or "")


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Fault) if field.name != "struck"])
def test_fault_setting_is_documented(field: str) -> None:
    assert f":param {field}:" in (Fault.__doc__ or "")


def test_unknown_control_path_is_not_found(desk: Any) -> None:
    assert control.control(desk.sandbox, Call("GET", "", "/_sandbox/nothing", {}, {})).status == 404
    assert control.control(desk.sandbox, Call("PUT", "", "/_sandbox/faults", {}, {})).status == 404


def test_reset_of_stats_keeps_contacts_and_still_knows_a_repeat(desk: Any, make_contact: Any) -> None:
    desk.push(make_contact("a"))
    desk.sandbox.reset({"stats"})
    assert desk.sandbox.stats()["contacts"]["customers"]["stored"] == 1
    assert desk.sandbox.ometria.contacts.deliveries("customers", "a") == {"received": 0, "repeats": 0}
    desk.push(make_contact("a"))
    assert desk.sandbox.ometria.contacts.deliveries("customers", "a") == {"received": 1, "repeats": 1}


def test_random_change_is_visible_in_score_and_accounts(desk: Any) -> None:
    before = {row["_id"]: row for row in desk.scan(limit=1000)}
    call = Call("POST", "", "/_sandbox/members", {}, {}, b'{"change":5,"seed":3}')
    assert control.control(desk.sandbox, call).status == 200
    changed = [row for row in desk.scan(limit=1000) if row != before[row["_id"]]]
    assert len(changed) == 5
    for row in changed:
        assert row["score"] == before[row["_id"]]["score"] + 10
        old = before[row["_id"]]["accounts"]["prestige_balance"]["earned"]
        assert row["accounts"]["prestige_balance"]["earned"] == old + 10
