"""Runs for chosen customers: who is read and how, what is tried again, and what such a run must not be taken for."""

from __future__ import annotations

from typing import Any

import pytest
from ometria_provider.exceptions import Halted
from ometria_provider.operators import chosen
from sync import FIELDS, Sync


def asked(sync: Sync) -> dict[str, int]:
    """Return how many pages of customers, and how many single ones, Antavo was asked for."""
    requests = sync.stats()["requests"]
    found = {name: sum(count.values()) for name, count in requests.items() if "/v1/customers" in name}
    pages = sum(count for name, count in found.items() if name.endswith("/v1/customers"))
    return {"pages": pages, "single": sum(found.values()) - pages}


def test_chosen_customers_are_asked_for_by_id_and_only_they_are_sent(sync: Sync) -> None:
    sync.mapping()
    wanted = sync.members_to_send()[:3]
    sync.sandbox.control("reset", {"what": ["stats"]})
    run = sync.run(customer_ids=wanted)
    assert run.green, run.text
    run.assert_balanced()
    assert run.row["strategy"] == "chosen"
    assert run.books == {"read": 3, "sent": 3, "accepted": 3}
    assert asked(sync) == {"pages": 0, "single": 3}
    assert sync.received()["stored"] == 3
    assert all(sync.contact(member) for member in wanted)
    assert "The run reads 3 chosen customers, each by its id" in run.row["plan"]


def test_chosen_customers_are_staged_as_a_scan_stages_them(sync: Sync) -> None:
    """The complete scan afterwards finds them unchanged by their source digests."""
    sync.mapping()
    wanted = sync.members_to_send()[:3]
    assert sync.run(customer_ids=wanted).green
    run = sync.run()
    assert run.row["unchanged"] == 3
    assert sync.run().facts("map")["unchanged"] == run.row["accepted"] + 3
    assert sync.received()["most_for_one"] == 1


def test_more_chosen_customers_than_a_scan_costs_requests_are_scanned_for(sync: Sync) -> None:
    sync.mapping()
    wanted = sync.members_to_send()[:40]
    sync.sandbox.control("reset", {"what": ["stats"]})
    run = sync.run(customer_ids=wanted)
    assert run.green, run.text
    run.assert_balanced()
    assert run.books == {"read": 40, "sent": 40, "accepted": 40}
    assert asked(sync)["single"] == 0
    assert run.row["strategy"] == "chosen"
    assert "40 chosen customers by a complete scan" in run.row["plan"]
    assert sync.received()["stored"] == 40


def test_chosen_customers_in_several_slices_all_arrive(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen, "CHUNK", 2)
    monkeypatch.setattr(chosen, "PAGE", 1)
    sync.mapping()
    wanted = sync.members_to_send()[:3]
    run = sync.run(customer_ids=wanted)
    assert run.green, run.text
    assert [window["ids"] for window in run.work.windows] == [[0, 2], [2, 3]]
    assert run.books == {"read": 3, "sent": 3, "accepted": 3}


def test_chosen_ids_that_are_numbers_are_texts(sync: Sync) -> None:
    sync.mapping()
    run = sync.run(customer_ids=[12345678901, " 12345678901 ", ""])
    assert run.facts("gate")["unknown_ids"] == ["12345678901"]


@pytest.mark.parametrize("others", [2, 20], ids=["by id", "by scan"])
def test_chosen_id_that_antavo_does_not_know_is_named_and_the_others_arrive(sync: Sync, others: int) -> None:
    sync.mapping()
    wanted = sync.members_to_send()[:others]
    run = sync.run(customer_ids=[*wanted, "nobody-1"])
    assert run.green, run.text
    run.assert_balanced()
    assert run.row["accepted"] == others
    assert run.facts("gate")["unknown_ids"] == ["nobody-1"]
    from ometria_provider.report import run_report
    from ometria_provider.report_text import render

    assert "Not in Antavo: 1 of the chosen members (nobody-1)" in render(run_report(sync.ledger, run.row["id"]))


def test_chosen_ids_of_which_antavo_knows_none_make_the_run_red(sync: Sync) -> None:
    sync.mapping()
    run = sync.run(customer_ids=["nobody-1", "nobody-2"])
    assert isinstance(run.errors["gate"], Halted)
    assert "Antavo knows none of the chosen customers" in run.text
    assert run.row["state"] == "halted"


def test_chosen_customers_are_antavos_ids_whatever_the_contact_id_is(sync: Sync) -> None:
    sync.mapping(identity={"id": "properties.member_number"})
    wanted = sync.members_to_send()[:2]
    run = sync.run(customer_ids=wanted)
    assert run.green, run.text
    assert run.row["accepted"] == 2
    [batch] = run.batches
    assert batch["records"] == 2


def test_chosen_member_rejected_before_is_tried_again(sync: Sync) -> None:
    sync.mapping(fields=[*FIELDS, {"loyalty": "birth_date", "remote": "date_of_birth"}])
    sync.nobody()
    bad, poison, good = sync.member(birth_date="2999-01-01"), sync.member(), sync.member()
    sync.fault("poison", contacts=[poison])
    assert sync.run().row["rejected"] == 2
    remembered = sync.run()
    assert (remembered.row["rejected"], remembered.row["sent"], len(remembered.rejections)) == (2, 0, 0)
    sync.mend()
    run = sync.run(customer_ids=[bad, poison, good])
    assert run.green, run.text
    run.assert_balanced()
    assert run.books == {"read": 3, "unchanged": 1, "rejected": 1, "sent": 1, "accepted": 1}
    assert [row["contact_id"] for row in run.rejections] == [bad]
    assert sync.contact(poison)


def test_limits_do_not_apply_to_chosen_customers_but_nothing_arrived_is_red(sync: Sync) -> None:
    limits = {"max_rejected_share": 0.0, "max_changed_share": 0.0, "max_drop_share": 0.0, "min_count": 1}
    sync.mapping(limits=limits)
    sync.nobody()
    members = [sync.member() for _ in range(3)]
    assert sync.run().green
    sync.change(*members, score=77)
    run = sync.run(customer_ids=members[:2])
    assert run.green, run.text
    assert run.row["accepted"] == 2
    sync.change(*members, score=78)
    sync.fault("poison", contacts=members)
    red = sync.run(customer_ids=members[:2])
    assert not red.green
    assert "Nothing arrived" in red.text
    red.assert_balanced()


def test_run_for_chosen_customers_is_no_complete_scan(sync: Sync) -> None:
    """The scan after it compares with the scan before it."""
    sync.mapping(limits={"max_drop_share": 0.5})
    assert sync.run().green
    assert sync.run(customer_ids=sync.members_to_send()[:2]).green
    sync.sandbox.control("members", {"remove": sync.ids()[:200]})
    run = sync.run()
    assert run.row["state"] == "halted"
    assert "fewer were read than last time (300)" in run.text


def test_dry_run_for_chosen_customers_sends_nothing(sync: Sync) -> None:
    sync.mapping()
    run = sync.run(customer_ids=sync.members_to_send()[:2], dry_run=True)
    assert run.green, run.text
    assert (run.row["read"], run.row["sent"]) == (2, 0)
    assert sync.received()["received"] == 0


def test_run_for_chosen_customers_cleared_sends_nothing_again(sync: Sync) -> None:
    sync.mapping()
    wanted = sync.members_to_send()[:3]
    run = sync.run(customer_ids=wanted)
    for again in (sync.clear(run, "push", "reconcile"), sync.run(again=run, customer_ids=wanted)):
        assert again.green, again.text
        again.assert_balanced()
        assert again.row["accepted"] == 3
    assert sync.received()["most_for_one"] == 1


@pytest.mark.parametrize("case", ["delivered", "unchanged", "rejected", "filtered"])
def test_old_push_cleared_after_a_run_for_chosen_customers_sends_theirs_no_more(sync: Sync, case: str) -> None:
    sync.mapping(fields=[*FIELDS, {"loyalty": "birth_date", "remote": "date_of_birth"}])
    sync.nobody()
    chosen_one, other = sync.member(score=1), sync.member(score=1)
    assert sync.run().green
    sync.change(chosen_one, other, score=2)
    sync.fault("500", path="/v2/push")
    old = sync.run()
    assert old.state == "failed"
    sync.mend()
    changes: dict[str, dict[str, Any]] = {
        "delivered": {"score": 3},
        "unchanged": {"score": 1},
        "rejected": {"birth_date": "2999-01-01"},
        "filtered": {"status": "banned"},
    }
    sync.change(chosen_one, **changes[case])
    newer = sync.run(customer_ids=[chosen_one])
    newer.assert_balanced()
    points = sync.contact(chosen_one)["properties"]["points"]
    assert points == (3 if case == "delivered" else 1)
    again = sync.clear(old, "push", "reconcile")
    assert again.green, again.text
    again.assert_balanced()
    assert sync.contact(chosen_one)["properties"]["points"] == points, "what the old run read of it is stale"
    assert sync.contact(other)["properties"]["points"] == 2, "the others were not compared since"


@pytest.mark.parametrize("older", ["rejected", "filtered"])
@pytest.mark.parametrize("newer", ["delivered", "rejected", "filtered"])
def test_old_push_cleared_after_a_run_for_chosen_customers_leaves_what_that_one_found(
    sync: Sync, older: str, newer: str
) -> None:
    sync.mapping(
        fields=[*FIELDS, {"loyalty": "birth_date", "remote": "date_of_birth"}],
        limits=dict.fromkeys(("max_rejected_share", "max_outstanding_share", "max_departed_share")),
    )
    sync.nobody()
    chosen_one, other = sync.member(score=1), sync.member(score=1)
    assert sync.run().green
    changes: dict[str, dict[str, Any]] = {
        "delivered": {"birth_date": "1990-01-01", "status": "active"},
        "rejected": {"birth_date": "2999-01-01", "status": "active"},
        "filtered": {"birth_date": "1990-01-01", "status": "banned"},
    }
    sync.change(other, score=2)
    sync.change(chosen_one, **changes[older])
    sync.fault("500", path="/v2/push")
    old = sync.run()
    assert old.state == "failed"
    sync.mend()
    sync.change(chosen_one, score=3, **changes[newer])
    sync.run(customer_ids=[chosen_one]).assert_balanced()
    query = "SELECT * FROM contact_state WHERE contact_id = :id"
    found = sync.query(query, id=chosen_one)
    sync.clear(old, "push", "reconcile").assert_balanced()
    after = sync.query(query, id=chosen_one)
    if newer == "filtered":  # reconcile of the old run takes leave of whoever is filtered now, as the next run would
        assert after[0]["state"] in {"filtered", "departed"}
        found[0] |= {name: after[0][name] for name in ("state", "changed_at", "reason", "sync_run_id")}
    assert {**after[0], "list_id": 0, "push_batch_id": 0} == {**found[0], "list_id": 0, "push_batch_id": 0}
