"""What Ometria rejects after it has answered: found by its error log and by reading back (design.md, "reconcile")."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from ometria_provider.exceptions import Halted, Retryable
from ometria_provider.hooks.antavo import AntavoHook
from ometria_provider.hooks.ometria import OmetriaHook
from ometria_provider.ledger import late
from ometria_provider.operators import antavo, error_log, readback, verification
from ometria_provider.sandbox.process import running
from ometria_provider.sandbox.settings import SandboxSettings
from sync import FAST, Sync
from work import Outcome


def asked(sync: Sync) -> dict[str, int]:
    """Return how often each kind of data request came."""
    found = {"log": 0, "one": 0, "page": 0}
    for request, answers in sync.stats()["requests"].items():
        parts = request.split("/v2/")[-1].split("/")
        kind = (
            "log" if parts[-1] == "_errors" else {3: "one", 2: "page"}.get(len(parts)) if parts[0] == "contacts" else ""
        )
        if kind:
            found[kind] += sum(answers.values())
    return found


def rejected(run: Outcome) -> dict[str, tuple[str, str | None, str]]:
    return {row["contact_id"]: (row["stage"], row["field"], row["reason"]) for row in run.rejections}


def with_last_name(sync: Sync) -> list[str]:
    """Return members that a first run sends with a last name, which the errors here are about."""
    pages = AntavoHook().scan()
    return [
        one["_id"]
        for page in pages
        for one in page
        if one["status"] in {"active", "inactive"} and one.get("last_name") and "@" in (one.get("email") or "")
    ]


def state_of(sync: Sync, contact_id: str) -> dict[str, Any]:
    return sync.query("SELECT * FROM contact_state WHERE contact_id=:id", id=contact_id)[0]


def unlimited(**keys: Any) -> dict[str, Any]:
    return {"limits": {"max_rejected_share": None, "max_outstanding_share": None}, **keys}


def test_guilty_is_found_among_innocent_suspects_and_withdrawn(sync: Sync) -> None:
    sync.mapping()
    guilty = with_last_name(sync)[150]
    sync.fault("late_error", contacts=[guilty])
    run = sync.run()
    assert run.green, run.text
    run.assert_balanced()
    stage, field, reason = rejected(run)[guilty]
    assert (stage, field) == ("ometria", "lastname")
    assert reason.startswith("not a valid value (root > lastname)")
    assert len(run.rejections) == run.row["rejected"] == 1
    assert run.row["sent"] == run.row["accepted"] + 1 == sync.received()["contacts"]
    assert sync.received()["stored"] == run.row["accepted"]
    known = state_of(sync, guilty)
    assert (known["state"], known["fingerprint"], known["consent_digest"]) == ("rejected", None, None)
    assert known["source_digest"]
    others = sync.query("SELECT count(*) AS n FROM contact_state WHERE suspect IS NOT NULL OR state='pending'")
    assert others[0]["n"] == 0


def test_withdrawn_record_is_sent_anew_when_the_member_changes_and_not_before(sync: Sync) -> None:
    sync.mapping()
    guilty = with_last_name(sync)[0]
    sync.fault("late_error", contacts=[guilty])
    sync.run()
    sync.mend()
    before, data = sync.received()["received"], asked(sync)
    second = sync.run()
    assert second.green, second.text
    second.assert_balanced()
    assert (second.row["sent"], second.row["rejected"]) == (0, 1)
    assert sync.received()["received"] == before
    assert asked(sync) == data, "nothing was sent, nothing is in doubt: nothing is asked"
    sync.change(guilty, last_name="Lee")
    third = sync.run()
    assert third.green, third.text
    assert (third.row["sent"], third.row["accepted"], third.row["rejected"]) == (1, 1, 0)
    assert sync.contact(guilty)["lastname"] == "Lee"


def test_refused_update_is_told_by_its_values_not_by_the_contact_being_there(sync: Sync) -> None:
    sync.mapping()
    assert sync.run().green
    guilty, innocent = with_last_name(sync)[:2]
    sync.change(guilty, innocent, last_name="Newname")
    sync.fault("late_error", contacts=[guilty])
    run = sync.run()
    run.assert_balanced()
    assert set(rejected(run)) == {guilty}
    assert sync.contact(guilty)["lastname"] != "Newname"
    assert (run.row["sent"], run.row["accepted"], run.row["rejected"]) == (2, 1, 1)


def test_errors_of_other_senders_convict_nobody(sync: Sync) -> None:
    sync.mapping()
    stranger = OmetriaHook()

    def interfere() -> None:
        stranger.push(b'[{"@type":"contact","@collection":"other","id":"x","firstname":7,"email":"x@y.example"}]')

    run = sync.run_until_push()
    sync.clear(run, "push")
    interfere()
    done = sync.clear(run, "reconcile")
    assert done.green, done.text
    done.assert_balanced()
    assert done.rejections == []
    assert done.facts("reconcile")["unexplained"] == 1
    assert done.facts("reconcile")["read_back"] > 100, "they were suspects"
    assert asked(sync)["page"] <= 3, "many suspects are looked up by the page"


def test_error_for_a_field_that_the_mapping_does_not_send_makes_no_suspects(sync: Sync) -> None:
    sync.mapping()
    assert sync.run().green
    (member,) = sync.change(with_last_name(sync)[0], score=77)
    run = sync.run_until_push()
    sync.clear(run, "push")
    OmetriaHook().push(b'[{"@type":"contact","@collection":"other","id":"x","prefix":7,"email":"x@y.example"}]')
    before = asked(sync)
    assert sync.clear(run, "reconcile").green
    assert (asked(sync)["one"], asked(sync)["page"]) == (before["one"], before["page"])
    assert sync.contact(member)["properties"]["points"] == 77


def test_more_errors_at_once_than_the_log_holds_find_all_the_guilty(crowd: Sync) -> None:
    crowd.mapping(**unlimited())
    guilty = with_last_name(crowd)[100:340]
    crowd.fault("late_error", contacts=guilty)
    run = crowd.run()
    run.assert_balanced()
    assert run.green, run.text
    assert set(guilty) <= set(rejected(run))
    assert run.facts("reconcile")["overflow"]
    assert crowd.received()["stored"] == run.row["accepted"]


def test_error_that_looks_like_those_of_a_full_log_is_found(crowd: Sync) -> None:
    crowd.mapping(**unlimited())
    guilty = with_last_name(crowd)[:150]
    crowd.fault("late_error", contacts=guilty)
    crowd.run()
    crowd.mend()
    again, fine = with_last_name(crowd)[500:502]
    crowd.fault("late_error", contacts=[again])
    crowd.change(again, fine, last_name="Newname")
    run = crowd.run()
    run.assert_balanced()
    assert set(rejected(run)) == {again}, "the log looks as before: a hundred times the same"
    assert run.row["accepted"] == 1


def test_errors_of_one_text_are_counted_as_often_as_they_come(sync: Sync) -> None:
    sync.mapping()
    members = with_last_name(sync)
    sync.fault("late_error", contacts=members[:3])
    assert sync.run().facts("reconcile")["late_errors"] == 3
    sync.mend()
    sync.change(*members[:4], last_name="Newname")
    sync.fault("late_error", contacts=members[:2])
    run = sync.run()
    assert run.facts("reconcile")["late_errors"] == 2
    assert set(rejected(run)) == set(members[:2])
    rows = sync.query("SELECT count FROM late_error WHERE path='root > lastname'")
    assert [row["count"] for row in rows] == [3, 2]


def test_time_limit_leaves_suspects_unverified_and_the_next_run_finishes(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync.mapping()
    assert sync.run().green
    members = with_last_name(sync)[:40]
    sync.change(*members, last_name="Newname")
    sync.fault("late_error", contacts=[members[39]])
    with monkeypatch.context() as patch:
        patch.setattr(readback.Reader, "is_over", property(lambda reader: reader.read >= 5))
        patch.setattr(readback, "TOGETHER", 5)
        patch.setattr(late, "collection_size", lambda *_: 10**9)
        run = sync.run()
    assert run.green, run.text
    run.assert_balanced()
    unverified = run.row["unverified"]
    assert 0 < unverified < 40
    assert f"{unverified} " in sync.show(run)
    flagged = sync.query("SELECT suspect FROM contact_state WHERE suspect IS NOT NULL")
    assert [row["suspect"] for row in flagged] == ["root > lastname"] * unverified

    sync.mend()
    before = asked(sync)
    second = sync.run()
    second.assert_balanced()
    assert second.row["sent"] == 0
    assert second.row["unverified"] == 0
    known = rejected(run) | rejected(second)
    assert set(known) == {members[39]}
    assert known[members[39]][1] == "lastname"
    assert asked(sync)["one"] + asked(sync)["page"] - before["one"] - before["page"] <= unverified
    third = sync.run()
    third.assert_balanced()
    assert asked(sync)["log"] == before["log"] + 0


def test_doubtful_batch_is_read_back_and_resolved(sync: Sync) -> None:
    sync.mapping()
    victim = with_last_name(sync)[42]
    sync.fault("rejected", contacts=[victim])
    run = sync.run()
    assert run.green, run.text
    run.assert_balanced()
    assert run.row["pending"] == 0
    assert run.row["sent"] == run.row["accepted"] + 1
    stage, _, reason = rejected(run)[victim]
    assert stage == "ometria"
    assert "counted rejected records" in reason
    sync.mend()
    before = sync.received()["received"]
    second = sync.run()
    assert second.green
    assert (second.row["sent"], second.row["rejected"]) == (0, 1)
    assert sync.received()["received"] == before


def test_doubtful_batch_without_time_stays_pending_red_and_is_resolved_by_the_next_run(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync.mapping()
    victim = with_last_name(sync)[42]
    sync.fault("rejected", contacts=[victim])
    with monkeypatch.context() as patch:
        patch.setattr(readback.Reader, "is_over", property(lambda _: True))
        run = sync.run()
    assert run.state == "failed"
    run.assert_balanced()
    assert run.row["pending"] == 100
    assert "100 records are pending" in run.row["reason"]
    sync.mend()
    before = sync.received()["received"]
    second = sync.run()
    assert second.green, second.text
    second.assert_balanced()
    assert set(rejected(second)) == {victim}
    assert sync.received()["received"] == before, "not sent again"
    assert sync.run().row["rejected"] == 1


def test_run_that_settled_what_another_sent_gives_the_same_books_when_it_is_cleared(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync.mapping()
    doubtful, guilty = with_last_name(sync)[42], with_last_name(sync)[150]
    sync.fault("rejected", contacts=[doubtful])
    sync.fault("late_error", contacts=[guilty])
    with monkeypatch.context() as patch:
        patch.setattr(readback.Reader, "is_over", property(lambda _: True))
        assert sync.run().row["pending"] == 100
    sync.mend()
    second = sync.run()
    assert second.green, second.text
    assert second.row["sent"] == 0
    assert set(rejected(second)) == {doubtful, guilty}
    before = sync.stats()["requests"]
    again = sync.clear(second, "reconcile")
    assert again.green, again.text
    assert again.books == second.books
    assert rejected(again) == rejected(second)
    assert sync.stats()["requests"] == before, "all was settled"


@pytest.mark.parametrize("verify", ["suspects", "sample", "full", "off"])
def test_verify_says_what_is_read_back(sync: Sync, verify: str) -> None:
    sync.mapping()
    assert sync.run().green
    sync.mapping(verify=verify)
    members = with_last_name(sync)[:30]
    sync.change(*members, last_name="Newname")
    sync.sandbox.control("reset", {"what": ["stats"]})
    run = sync.run()
    assert run.green, run.text
    requests = asked(sync)
    read = run.facts("reconcile").get("read_back", 0)
    assert read == {"suspects": 0, "sample": 20, "full": 30, "off": 0}[verify]
    assert (requests["log"] > 0) is (verify != "off")
    assert (requests["page"] > 0) is (verify == "full")


def test_verify_off_leaves_a_doubtful_batch_pending(sync: Sync) -> None:
    sync.mapping(verify="off")
    sync.fault("rejected", contacts=[with_last_name(sync)[42]])
    run = sync.run()
    assert run.state == "failed"
    run.assert_balanced()
    assert run.row["pending"] == 100
    assert asked(sync) == {"log": 0, "one": 0, "page": 0}


def test_full_finds_what_no_error_names(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    sync.mapping(verify="full")
    lost = with_last_name(sync)[7]
    run = sync.run_until_push()
    sync.clear(run, "push")
    sync.sandbox.control("contacts", {"forget": [f"members/{lost}"]})
    done = sync.clear(run, "reconcile")
    done.assert_balanced()
    assert set(rejected(done)) == {lost}
    assert "the contact is not in Ometria" in rejected(done)[lost][2]


@pytest.mark.parametrize("chunk", [1_000, 100], ids=["2 chunks", "20 chunks"])
def test_full_pages_the_collection_once_for_all_chunks(
    crowd: Sync, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(antavo, "CHUNK", chunk)
    crowd.mapping(verify="full")
    run = crowd.run()
    assert run.green, run.text
    sent, requests = run.row["sent"], asked(crowd)
    assert sent > 1_500
    assert run.facts("reconcile")["read_back"] == sent
    assert requests["page"] <= -(-sent // 250) + 1
    alone = verification.SAMPLE + 2 * len(run.rejections)
    assert requests["one"] <= alone, "only the sample, and who did not arrive"


def test_full_goes_on_in_the_next_run_when_the_time_was_up(crowd: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    crowd.mapping(verify="full")
    crowd.connect(ometria={"extra": {"concurrency": 1}})
    with monkeypatch.context() as patch:
        patch.setattr(readback.Reader, "is_over", property(lambda reader: reader.read >= 600))
        first = crowd.run()
    assert first.green, first.text
    sent, left = first.row["sent"], first.row["unverified"]
    assert 0 < left == sent - first.facts("reconcile")["read_back"]
    (lost, *_) = [row["contact_id"] for row in crowd.query("SELECT contact_id FROM contact_state WHERE suspect='+'")]
    crowd.sandbox.control("contacts", {"forget": [f"members/{lost}"]})
    second = crowd.run()
    assert second.green, second.text
    second.assert_balanced()
    assert (second.row["sent"], second.row["unverified"]) == (0, 0)
    assert second.facts("reconcile")["read_back"] == left
    assert lost in rejected(second)
    before = asked(crowd)
    assert crowd.run().green
    assert asked(crowd) == before, "nothing is left to be read"


def test_full_that_was_killed_goes_on_when_it_is_cleared(crowd: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    crowd.mapping(verify="full")
    crowd.connect(ometria={"extra": {"concurrency": 1}})
    pages, page = 0, OmetriaHook.contact_page

    def killed(hook: OmetriaHook, collection: str, offset: int) -> Any:
        nonlocal pages
        pages += 1
        if pages == 4:
            raise KeyboardInterrupt
        return page(hook, collection, offset)

    with monkeypatch.context() as patch:
        patch.setattr(OmetriaHook, "contact_page", killed)
        run = crowd.run()
    assert run.state == "failed"
    run.assert_balanced()
    left = crowd.query("SELECT count(*) AS n FROM contact_state WHERE suspect IS NOT NULL")[0]["n"]
    assert 0 < left < run.row["sent"]
    again = crowd.clear(run, "reconcile")
    assert again.green, again.text
    again.assert_balanced()
    read = again.facts("reconcile")["read_back"]
    assert left <= read <= left + verification.SAMPLE, "what was read before the kill is not read again"
    assert again.row["unverified"] == 0


def test_push_halts_in_a_flood_and_what_was_acknowledged_is_reconciled(
    crowd: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(error_log, "INTERVAL", 0.05)
    monkeypatch.setattr(error_log, "SHARE", 0)
    crowd.mapping()
    crowd.connect(ometria={"extra": {"concurrency": 1}})
    crowd.sandbox.control("settings", {"latency_ms": 60})
    crowd.fault("late_error", field="id")
    run = crowd.run()
    crowd.sandbox.control("settings", {"latency_ms": 0})
    assert run.row["state"] == "halted"
    run.assert_balanced()
    assert isinstance(run.errors["push[0]"], Halted)
    assert "limits.max_rejected_share is 1.0%" in run.row["reason"]
    assert "Errors of other senders" in run.row["reason"]
    received = crowd.received()["received"]
    assert 100 <= received < 1_500, "nothing more was sent"
    assert run.row["sent"] == received
    assert run.row["rejected"] == received, "what was acknowledged was read back"
    assert run.row["pending"] == run.row["read"] - run.row["filtered"] - received
    assert "Nothing was sent" not in crowd.show(run)


def test_undeclared_field_is_named_after_the_mapping_changed(strict_fields: Callable[..., Sync]) -> None:
    sync = strict_fields("drop", "points", "member_number")
    sync.mapping()
    run = sync.run()
    assert run.green, run.text
    assert run.facts("reconcile")["sampled"] == 20
    assert set(run.facts("reconcile")["missing"]) == {"next_tier"}
    assert "next_tier" in sync.show(run)
    assert run.rejections == [], "no record is at fault"
    sync.change(with_last_name(sync)[0], score=99)
    second = sync.run()
    assert "sampled" not in second.facts("reconcile")
    guilty, innocent = with_last_name(sync)[:2]
    sync.change(guilty, innocent, last_name="Newname")
    sync.fault("late_error", contacts=[guilty])
    third = sync.run()
    assert set(rejected(third)) == {guilty}, "a field that never arrives convicts nobody"


def test_silent_field_stays_known_when_the_run_is_cleared_and_the_sample_lacks_it(
    strict_fields: Callable[..., Sync], monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = strict_fields("drop", "points", "member_number")
    sync.mapping(verify="sample")
    run = sync.run()
    assert run.facts("reconcile")["silent"] == ["next_tier"]
    with monkeypatch.context() as patch:
        # Whom it draws are members at the top, who have no next tier.
        draw, lacks = verification.Verification._draw, b"next_tier"
        patch.setattr(
            verification.Verification, "_draw", lambda self: [item for item in draw(self) if lacks not in item.body]
        )
        again = sync.clear(run, "reconcile")
    assert again.facts("reconcile")["silent"] == ["next_tier"]
    sync.mapping(verify="off")
    sync.change(with_last_name(sync)[0], score=99)
    assert sync.run().green
    sync.mapping()
    guilty, innocent = with_last_name(sync)[:2]
    sync.change(guilty, innocent, last_name="Newname")
    sync.fault("late_error", contacts=[guilty])
    assert set(rejected(sync.run())) == {guilty}, "a field that never arrives convicts nobody"


def test_mapping_of_which_nothing_arrives_makes_the_run_red(strict_fields: Callable[..., Sync]) -> None:
    sync = strict_fields("drop")
    sync.mapping(fields=[{"loyalty": "score", "remote": "points"}, {"loyalty": "status", "remote": "tier_status"}])
    run = sync.run()
    assert run.state == "failed"
    run.assert_balanced()
    assert "none holds any field of the mapping beyond their identity" in run.row["reason"]
    assert run.row["accepted"] > 50, "no record is at fault"


def test_field_that_ometria_refuses_for_all_makes_rejections_not_a_silent_field(
    strict_fields: Callable[..., Sync],
) -> None:
    sync = strict_fields("error", "points", "member_number")
    sync.mapping(**unlimited())
    run = sync.run()
    assert run.green, run.text
    run.assert_balanced()
    assert 0 < run.row["accepted"] < run.row["rejected"], "members at the top have no next tier"
    assert {row["field"] for row in run.rejections} >= {"next_tier"}
    assert run.facts("reconcile")["silent"] == []


def test_rejections_of_ometria_count_against_the_limit(sync: Sync) -> None:
    sync.mapping()
    guilty = with_last_name(sync)[:25]
    sync.fault("late_error", contacts=guilty)
    run = sync.run()
    assert run.state == "failed"
    run.assert_balanced()
    assert "limits.max_rejected_share" in run.row["reason"]
    assert run.row["rejected"] == 25


@pytest.mark.parametrize(
    "steps", [("reconcile",), ("push", "reconcile"), ("extract", "map", "validate", "gate", "push", "reconcile")]
)
def test_cleared_run_gives_the_same_books(sync: Sync, steps: tuple[str, ...]) -> None:
    sync.mapping()
    members = with_last_name(sync)
    sync.fault("late_error", contacts=members[:2])
    sync.fault("rejected", contacts=members[100:101])
    run = sync.run()
    assert run.green, run.text
    assert run.row["rejected"] == 3
    received = sync.received()["received"]
    for again in (sync.clear(run, *steps), sync.run(again=run), sync.clear(run, *steps)):
        assert again.green, again.text
        again.assert_balanced()
        assert again.books == run.books
        assert rejected(again) == rejected(run)
    assert sync.received()["received"] == received


def test_killed_reconcile_is_finished_when_it_is_cleared(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    sync.mapping()
    members = with_last_name(sync)
    sync.fault("late_error", contacts=[members[3], members[200]])
    sync.fault("rejected", contacts=members[100:101])
    calls = 0
    convict = late.convict

    def killed(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise KeyboardInterrupt
        convict(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(late, "convict", killed)
        patch.setattr(readback, "TOGETHER", 1)
        run = sync.run()
    assert run.state == "failed"
    run.assert_balanced()
    again = sync.clear(run, "reconcile")
    assert again.green, again.text
    again.assert_balanced()
    assert set(rejected(again)) == {members[3], members[100], members[200]}
    assert again.row["accepted"] == again.row["sent"] - 3


def test_push_that_failed_is_reconciled_and_one_that_was_killed_by_the_next_run(crowd: Sync) -> None:
    crowd.mapping(**unlimited())
    crowd.connect(ometria={"extra": {"concurrency": 3}})
    run = crowd.run_until_push()
    guilty = with_last_name(crowd)
    crowd.fault("late_error", contacts=sorted(guilty)[:5])
    crowd.sandbox.control("settings", {"latency_ms": 150})
    crowd.push_and_kill(run, acknowledged=4)
    crowd.sandbox.control("settings", {"latency_ms": 0})
    crowd.mend()
    fresh = crowd.run()
    fresh.assert_balanced()
    assert set(sorted(guilty)[:5]) <= set(rejected(fresh))


def test_two_pushes_on_one_account_share_the_looks(sync: Sync) -> None:
    sync.mapping()
    sync.mapping("others")
    first, second = sync.run_until_push("members"), sync.run_until_push("others")
    guilty = with_last_name(sync)[9]
    sync.fault("late_error", contacts=[guilty])
    sync.clear(first, "push")
    sync.clear(second, "push")
    one, two = sync.clear(first, "reconcile"), sync.clear(second, "reconcile")
    assert set(rejected(one)) == set(rejected(two)) == {guilty}
    rows = sync.query("SELECT sum(count) AS n FROM late_error")
    assert rows[0]["n"] == 2, "each was counted once"


def test_error_log_out_of_reach_stops_the_push_before_anything_is_sent(sync: Sync) -> None:
    sync.mapping()
    sync.fault("500", path="/v2/push/_errors")
    run = sync.run()
    assert isinstance(run.errors["push[0]"], Retryable)
    run.assert_balanced()
    assert sync.received()["received"] == 0


def test_queue_headers_spare_the_waiting(make_sync: Callable[..., Sync], monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(error_log, "sleep", waits.append)
    with running(
        SandboxSettings(
            port=0,
            members=20,
            queue_headers=True,
            validation_delay_ms=0,
            antavo_requests_per_minute=0,
            ometria_push_per_second=0,
            ometria_data_per_second=0,
        )
    ) as sandbox:
        sync = make_sync(sandbox)
        sync.connect(ometria={"extra": FAST | {"settle_seconds": 30}})
        sync.mapping()
        assert sync.run().green
    assert waits == []


def test_records_that_ometria_has_not_got_to_yet_are_looked_for_again(sync: Sync) -> None:
    sync.mapping(verify="full")
    sync.sandbox.control("settings", {"validation_delay_ms": 700})
    run = sync.run()
    assert run.green, run.text
    assert sync.received()["stored"] == run.row["accepted"] == run.row["sent"]


def test_suspect_that_arrives_late_is_not_convicted(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    sync.mapping()
    assert sync.run().green
    guilty, *slow = with_last_name(sync)[:6]
    sync.change(guilty, *slow, last_name="Newname")
    sync.fault("late_error", contacts=[guilty])
    contact, looks = OmetriaHook.contact, Counter[str]()

    def lagging(hook: OmetriaHook, collection: str, id_: str) -> dict[str, Any] | None:
        looks[id_] += 1
        return contact(hook, collection, id_) if looks[id_] > 1 else None

    monkeypatch.setattr(late, "collection_size", lambda *_: 10**9)
    monkeypatch.setattr(OmetriaHook, "contact", lagging)
    run = sync.run()
    run.assert_balanced()
    assert set(rejected(run)) == {guilty}, "the others were only not there yet"
    assert (run.row["accepted"], run.row["unverified"]) == (5, 0)
    assert looks[guilty] >= 2
    assert run.facts("reconcile")["read_back"] == 6


def test_suspect_is_convicted_by_no_look_but_a_second_one(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    sync.mapping()
    assert sync.run().green
    guilty, innocent = with_last_name(sync)[:2]
    sync.change(guilty, innocent, last_name="Newname")
    sync.fault("late_error", contacts=[guilty])
    with monkeypatch.context() as patch:
        patch.setattr(readback, "SECOND_LOOK", 10**6)
        run = sync.run()
    run.assert_balanced()
    assert run.rejections == []
    assert run.row["unverified"] == 1, "there was no time for a second look"
    assert set(rejected(sync.run())) == {guilty}


def test_run_waits_settle_seconds_after_its_last_push(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(error_log, "sleep", waits.append)
    sync.connect(ometria={"extra": FAST | {"settle_seconds": 30}})
    sync.mapping()
    assert sync.run().green
    assert len(waits) == 1
    assert 20 < waits[0] <= 30
    assert sync.run().green
    assert len(waits) == 1, "nothing was sent"
