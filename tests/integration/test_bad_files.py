"""Files, folders, connections and params that are wrong: the run says what, where and what to do, and sends nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from ometria_provider import factory
from ometria_provider.exceptions import Misconfigured
from sync import Sync
from work import Outcome


def refused(run: Outcome, *parts: str) -> None:
    """The run is red at plan, and its text holds all these parts, in the ledger too."""
    assert run.state == "failed"
    assert isinstance(run.errors["plan"], Misconfigured)
    assert run.row["state"] == "failed"
    for part in parts:
        assert part in str(run.errors["plan"])
        assert part in run.row["reason"]


def test_mapping_broken_shows_line_and_caret_and_others_still_run(sync: Sync) -> None:
    sync.mapping("good")
    text = "list: 4821\nfields:\n  - {loyalty: first_nmae, remote: firstname}\n"
    sync.file("bad", text)
    assert sorted(factory.contact_sync_dags()) == ["contact_sync__bad", "contact_sync__good"]

    run = sync.run("bad")
    assert run.state == "failed"
    said = str(run.errors["plan"])
    assert "bad.yaml" in said
    assert "first_nmae" in said
    assert "did you mean" in said.lower()
    assert "line 3" in said or ":3:" in said
    assert "^" in said
    assert said in run.row["reason"]

    assert sync.run("good").green
    assert sync.received("good")["stored"] > 0


def test_mapping_broken_after_it_was_planned_does_not_reach_a_cleared_task(sync: Sync) -> None:
    file = sync.mapping()
    sync.fault("500", path="/v2/push")
    run = sync.run()
    assert run.state == "failed"
    file.write_text("list: [")
    sync.mend()
    again = sync.clear(run, "push", "reconcile")
    assert again.green, again.text
    assert sync.received()["stored"] == again.row["accepted"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"name": "members", "expectations": [', "this is not JSON"),
        ('{"name": "members"}', "has no expectations"),
        ('{"name": "members", "expectations": [{"type": "expect_nothing"}]}', "expect_nothing"),
        (
            '{"name": "members", "expectations": [{"type": "expect_column_values_to_not_be_null", '
            '"kwargs": {"column": "fristname"}}]}',
            "fristname",
        ),
    ],
    ids=["no JSON", "no rules", "unknown rule", "unknown column"],
)
def test_suite_broken_names_file_and_rule(sync: Sync, content: str, says: str) -> None:
    sync.mapping()
    (sync.suites / "members.json").write_text(content)
    refused(sync.run(), "members.json", says)
    assert sync.received()["received"] == 0


def test_suite_of_one_mapping_broken_leaves_the_others_alone(sync: Sync) -> None:
    sync.mapping("good")
    sync.mapping("bad")
    (sync.suites / "bad.json").write_text("{")
    refused(sync.run("bad"), "bad.json")
    assert sync.run("good").green


def test_expectations_folder_missing_says_how_to_go_on(sync: Sync) -> None:
    sync.mapping()
    shutil.rmtree(sync.suites)
    refused(sync.run(), str(sync.suites), "is not there", "expectations_folder")


def test_mappings_folder_missing_is_an_import_error_that_says_what_to_do(sync: Sync) -> None:
    shutil.rmtree(sync.mappings)
    with pytest.raises(Misconfigured, match="does not exist: make it, or set") as caught:
        factory.contact_sync_dags()
    assert str(sync.mappings) in str(caught.value)
    assert "mappings_folder" in str(caught.value)


def test_mappings_folder_empty_makes_no_dag(sync: Sync) -> None:
    assert factory.contact_sync_dags() == {}


def test_second_owner_of_a_collection_is_refused_and_the_first_runs(sync: Sync) -> None:
    sync.mapping("members")
    sync.mapping("thief", collection="members")
    refused(sync.run("thief"), "thief.yaml", "members.yaml", "one mapping owns a collection")
    assert sync.run("members").green


def test_mappings_whose_names_make_one_dag_id_are_refused_and_others_run(sync: Sync) -> None:
    sync.mapping("a b", collection="one")
    sync.mapping("a_b", collection="two")
    sync.mapping("other")
    refused(sync.run("a_b"), "`a b.yaml` and `a_b.yaml` make the same DAG id", "rename one of them")
    assert sync.stats()["contacts"] == {}
    assert sync.run("other").green


def test_mapping_file_deleted_between_parse_and_run_is_refused(sync: Sync) -> None:
    file = sync.mapping()
    dags = factory.contact_sync_dags()
    file.unlink()
    run = sync.run_steps(dags["contact_sync__members"])
    refused(run, "members.yaml")


@pytest.mark.parametrize("name", ["antavo", "ometria"])
def test_connection_missing_names_it_and_its_type(sync: Sync, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    sync.mapping()
    monkeypatch.delenv(f"AIRFLOW_CONN_{name.upper()}_DEFAULT")
    refused(sync.run(), f"{name}_default", "is not defined", f"type '{name}'")


@pytest.mark.parametrize(
    ("antavo", "ometria", "parts"),
    [
        ({"password": "wrong-secret"}, None, ("antavo_default", "Check")),
        (None, {"password": "wrong-key"}, ("ometria_default", "403", "Check the API key")),
        (None, {"password": None}, ("ometria_default", "API key (password) is missing")),
        (None, {"host": "ftp://example.com"}, ("ometria_default", "http")),
        ({"extra": {"requests_per_minute": "fast"}}, None, ("antavo_default", "requests_per_minute")),
        ({"extra": {"credential_scope": "other/scope"}}, None, ("antavo_default", "Check")),
    ],
    ids=["secret", "key", "no key", "host", "rate", "scope"],
)
def test_connection_wrong_says_what_to_mend(
    sync: Sync, antavo: dict[str, Any] | None, ometria: dict[str, Any] | None, parts: tuple[str, ...]
) -> None:
    sync.mapping()
    sync.connect(antavo, ometria)
    run = sync.run()
    assert run.state == "failed"
    for part in parts:
        assert part in run.text
    for secret in ("wrong-secret", "wrong-key", "sandbox-secret", "sandbox-ometria-key"):
        assert secret not in run.text
    assert sync.received()["received"] == 0


def test_connection_of_one_mapping_wrong_leaves_the_others_alone(sync: Sync) -> None:
    sync.mapping("good")
    sync.mapping("bad", connections={"ometria": "ometria_other"})
    refused(sync.run("bad"), "ometria_other")
    assert sync.run("good").green


def test_server_not_there_says_where_and_is_tried_again(sync: Sync) -> None:
    sync.mapping()
    sync.connect(ometria={"host": "http://127.0.0.1:9"})
    run = sync.run()
    assert run.state == "failed"
    assert "ometria_default" in run.text
    assert "127.0.0.1:9" in run.text
    assert not isinstance(run.errors["plan"], Misconfigured)


def test_list_that_does_not_exist_is_refused(strict_lists: Sync) -> None:
    strict_lists.mapping(list=9999)
    refused(strict_lists.run(), "members.yaml", "9999", "no such list", "ometria-sync lists")
    strict_lists.mapping(list=4821)
    assert strict_lists.run().green


def test_list_dynamic_is_refused(sync: Sync) -> None:
    sync.mapping(list=5100)
    refused(sync.run(), "members.yaml", "5100", "dynamic segment", "static list")


@pytest.mark.parametrize(
    ("conf", "parts"),
    [
        ({"dryrun": True}, ("`dryrun`", "did you mean `dry_run`")),
        ({"dry_run": "yes"}, ("`dry_run` must be true or false",)),
        ({"dry_run": 1}, ("`dry_run` must be true or false",)),
        ({"strategy": "partial"}, ("`strategy` must be `full` or `incremental`",)),
        ({"customer_ids": "a,b"}, ("`customer_ids` must be a list",)),
        ({"customer_ids": []}, ("`customer_ids` must be a list",)),
        ({"customer_ids": ["a", True]}, ("`customer_ids` must be a list",)),
        ({"retry_run": 3}, ("The ledger knows no run 3",)),
        ({"retry_run": "members:latest"}, ("no run of mapping members",)),
        ({"retry_run": "last"}, ("names no run",)),
        ({"retry_run": 1.5}, ("`retry_run` must be the number of a run",)),
        ({"colour": "red"}, ("`colour`", "`dry_run`, `strategy`")),
    ],
    ids=lambda value: next(iter(value.items())).__repr__() if isinstance(value, dict) else "",
)
def test_params_wrong_are_refused(sync: Sync, conf: dict[str, Any], parts: tuple[str, ...]) -> None:
    sync.mapping()
    refused(sync.run(**conf), *parts)
    assert sync.received()["received"] == 0


def test_params_wrong_are_refused_when_airflow_schedules(sync: Sync, airflow_database: None) -> None:
    sync.mapping()
    run = sync.run_dag(dryrun=True)
    assert run.state == "failed"
    assert "did you mean `dry_run`" in run.row["reason"]
    assert run.tasks["plan"] == run.tasks["report"] == "failed"


def test_ledger_url_wrong_says_what_to_write(sync: Sync) -> None:
    sync.mapping()
    sync.set("ledger_sql_alchemy_conn", "nosuchdb://ledger")
    run = sync.run()
    assert "ledger_sql_alchemy_conn" in str(run.errors["plan"])
    assert "sqlite:////path/ledger.db" in str(run.errors["plan"])


def test_ledger_of_another_version_is_refused(sync: Sync) -> None:
    sync.mapping()
    assert sync.run().green
    sync.execute("UPDATE alembic_version SET version_num='9999'")
    run = sync.run()
    assert "is at version 9999" in str(run.errors["plan"])
    assert "ometria-sync ledger upgrade" in str(run.errors["plan"])


def test_shipped_mappings_run_green_with_the_shipped_suite(sync: Sync) -> None:
    include = Path(__file__).parents[2] / "include"
    sync.set("mappings_folder", include / "mappings")
    sync.set("expectations_folder", include / "expectations")
    for name in ("customers", "customers_v2"):
        run = sync.run(name)
        assert run.green, run.text
        run.assert_balanced()
        assert sync.received(name)["stored"] == run.row["accepted"]
        second = sync.run(name)
        assert second.green, second.text
        assert second.row["sent"] == 0
