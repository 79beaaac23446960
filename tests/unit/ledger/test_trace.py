from ledgers import PastRun, green_run, unchanged_run, write_batch, write_contact
from ometria_provider.cli.tracing import explain
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.trace import LATEST, trace


def test_trace_of_an_accepted_contact_names_run_batch_and_scan(ledger: Ledger) -> None:
    first = green_run().write(ledger)
    batch = write_batch(ledger, first, request_id="req-1")
    write_contact(ledger, first, "ann", push_batch_id=batch)
    second = unchanged_run().write(ledger)
    found = trace(ledger, "ann")
    (standing,) = found.standings
    assert (standing.mapping, standing.state, standing.run) == ("customers", "accepted", first.id)
    assert standing.batch is not None
    assert (standing.batch.id, standing.batch.run, standing.batch.request_id) == (batch, first.id, "req-1")
    assert standing.last_scan is not None
    assert (standing.last_scan.run, standing.last_scan.read) == (second.id, 2000)
    assert found.known
    assert found.rejections == []


def test_trace_of_a_rejected_contact_lists_its_rejections_in_every_run(ledger: Ledger) -> None:
    first = green_run().write(ledger)
    write_contact(ledger, first, "m3", state="rejected", reason="phone_number: is no phone number")
    second = unchanged_run(rejections=[("m3", "push", None, "refused")]).write(ledger)
    found = trace(ledger, "m3")
    assert found.standings[0].reason == "phone_number: is no phone number"
    assert [(row.run, row.stage) for row in found.rejections] == [(second.id, "push"), (first.id, "mapping")]


def test_trace_stands_in_each_mapping_by_itself(ledger: Ledger) -> None:
    write_contact(ledger, green_run().write(ledger), "ann")
    PastRun(mapping="other", collection="other").write(ledger)
    states = {standing.mapping: standing.state for standing in trace(ledger, "ann").standings}
    assert states == {"customers": "accepted", "other": "unknown"}


def test_trace_has_all_rejections_and_tells_the_latest(ledger: Ledger) -> None:
    for number in range(1, 24):
        green_run(run_id=str(number), rejections=[("ann", "mapping", "email", f"fault {number}.")]).write(ledger)
    found = trace(ledger, "ann")
    assert len(found.rejections) == 23
    text = explain(found, most=LATEST)
    assert "fault 4." in text
    assert "fault 3." not in text
    assert "3 more: --all shows them" in text
    assert "fault 3." in explain(found)
    assert "more: --all" not in explain(found)


def test_trace_says_which_error_may_be_its_own(ledger: Ledger) -> None:
    write_contact(ledger, green_run().write(ledger), "ann", suspect="root > lastname")
    (standing,) = trace(ledger, "ann").standings
    assert standing.suspect == "root > lastname"
    assert "may be its own (root > lastname); the next run reads it back" in explain(trace(ledger, "ann"))


def test_trace_of_an_unknown_contact_still_says_what_was_scanned(ledger: Ledger) -> None:
    run = green_run().write(ledger)
    found = trace(ledger, "nobody")
    assert not found.known
    (standing,) = found.standings
    assert standing.state == "unknown"
    assert standing.last_scan is not None
    assert standing.last_scan.run == run.id


def test_trace_without_any_run_has_no_standings(ledger: Ledger) -> None:
    assert trace(ledger, "ann").standings == []
