import pytest
from ledgers import PastRun, green_run, unchanged_run, write_batch, write_contact
from ometria_provider.ledger import history, scans
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.history import UnknownRun


def test_find_run_by_number_and_by_mapping_gives_the_number(ledger: Ledger) -> None:
    first = green_run().write(ledger)
    second = unchanged_run().write(ledger)
    other = PastRun(mapping="other").write(ledger)
    assert history.find_run(ledger, str(first.id)) == first.id
    assert history.find_run(ledger, "customers:latest") == second.id
    assert history.find_run(ledger, "other:latest") == other.id


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("99", "knows no run 99"),
        ("9" * 40, "knows no run 9999"),
        ("nobody:latest", "knows no run of mapping nobody"),
        ("customers", "names no run"),
        ("customers:first", "names no run"),
        (":latest", "names no run"),
        ("", "names no run"),
        ("-1", "names no run"),
        ("१", "names no run"),
    ],
)
def test_find_run_without_such_a_run_says_what_to_write(ledger: Ledger, reference: str, words: str) -> None:
    green_run().write(ledger)
    with pytest.raises(UnknownRun, match=words):
        history.find_run(ledger, reference)


def test_list_runs_gives_the_newest_first_and_filters(ledger: Ledger) -> None:
    green_run().write(ledger)
    PastRun(mapping="other", state="failed", reason="broken").write(ledger)
    unchanged_run().write(ledger)
    assert [row.id for row in history.list_runs(ledger)] == [3, 2, 1]
    assert [row.id for row in history.list_runs(ledger, mapping="customers")] == [3, 1]
    assert [row.id for row in history.list_runs(ledger, state="failed")] == [2]
    assert [row.id for row in history.list_runs(ledger, limit=1)] == [3]
    assert [row.id for row in history.list_runs(ledger, mapping="customers", state="failed")] == []


def test_run_row_holds_the_books(ledger: Ledger) -> None:
    row = history.run_row(ledger, green_run().write(ledger).id)
    assert (row.read, row.filtered, row.rejected, row.sent, row.accepted) == (2000, 15, 12, 1973, 1973)
    assert (row.account, row.collection, row.plan) == ("ometria_default", "customers", "A complete scan.")
    with pytest.raises(UnknownRun):
        history.run_row(ledger, 99)


def test_run_rows_gives_those_that_are_there(ledger: Ledger) -> None:
    run = green_run().write(ledger)
    found = history.run_rows(ledger, {run.id, 0, 99})
    assert found == {run.id: history.run_row(ledger, run.id)}


def test_doubtful_batches_gives_their_request_ids(ledger: Ledger) -> None:
    run = green_run().write(ledger)
    write_batch(ledger, run, request_id="good")
    write_batch(ledger, run, state="doubtful", request_id="bad", records=7)
    assert [(row.request_id, row.records) for row in history.doubtful_batches(ledger, run.id)] == [("bad", 7)]


def test_earlier_run_with_rejections_is_the_latest_of_the_same_collection(ledger: Ledger) -> None:
    first = green_run().write(ledger)
    PastRun(mapping="other", collection="other", rejections=[("1", "mapping", "email", "is no e-mail address")]).write(
        ledger
    )
    last = history.run_row(ledger, unchanged_run().write(ledger).id)
    assert history.earlier_run_with_rejections(ledger, last) == first.id
    assert history.earlier_run_with_rejections(ledger, history.run_row(ledger, first.id)) is None


def test_accounts_in_use_names_the_mapping_that_ran_last(ledger: Ledger) -> None:
    PastRun(mapping="old_name", collection="customers").write(ledger)
    green_run().write(ledger)
    PastRun(mapping="other", collection="other", account="second").write(ledger)
    assert history.accounts_in_use(ledger) == {
        ("ometria_default", "customers"): "customers",
        ("second", "other"): "other",
    }


def test_has_contacts_looks_at_one_collection(ledger: Ledger) -> None:
    write_contact(ledger, green_run().write(ledger), "1")
    assert history.has_contacts(ledger, "ometria_default", "customers")
    assert not history.has_contacts(ledger, "ometria_default", "other")


def test_last_scan_without_a_run_is_that_of_the_last_complete_scan(ledger: Ledger) -> None:
    green_run().write(ledger)
    PastRun(run_id="manual__3", state="failed", counts={"read": 5}).write(ledger)
    assert scans.last_scan(ledger, None, account="ometria_default", collection="customers") == 2000
    assert scans.last_scan(ledger, None, account="ometria_default", collection="other") is None
