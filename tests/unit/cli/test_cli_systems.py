"""Commands that ask the systems, against a real sandbox over a real socket, with real Airflow connections."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ledgers import PastRun, write_contact
from ometria_provider.ledger import runs
from ometria_provider.ledger.engine import Ledger
from ometria_provider.sandbox.process import RunningSandbox, running
from ometria_provider.sandbox.settings import SandboxSettings

CLOSED = '{"conn_type": "ometria", "host": "http://127.0.0.1:1", "password": "any-key"}'


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    # Each test has a ledger, and so a rate budget, of its own: limits would count them together.
    unlimited = {"antavo_requests_per_minute": 0, "ometria_push_per_second": 0, "ometria_data_per_second": 0}
    with running(SandboxSettings(port=0, members=60, lists=(4821,), **unlimited)) as sandbox:
        yield sandbox


def antavo_connection(sandbox: RunningSandbox) -> str:
    return sandbox.antavo_connection(requests_per_minute=60_000)


def ometria_connection(sandbox: RunningSandbox) -> str:
    return sandbox.ometria_connection(push_requests_per_second=500, data_requests_per_second=500)


@pytest.fixture(autouse=True)
def connections(sandbox: RunningSandbox, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ANTAVO_DEFAULT", antavo_connection(sandbox))
    monkeypatch.setenv("AIRFLOW_CONN_OMETRIA_DEFAULT", ometria_connection(sandbox))


def checks(command, *, exit_code: int) -> dict[str, tuple[str, str]]:
    result = command("doctor", "-o", "json")
    assert result.exit_code == exit_code, result.output
    return {check["subject"]: (check["state"], check["words"]) for check in json.loads(result.stdout)}


def test_lists_shows_id_title_size_and_type(command, ledger: Ledger) -> None:
    result = command("lists")
    assert result.exit_code == 0
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["id", "title", "size", "type", "status"]
    assert [row.split()[0] for row in rows] == ["4821", "5100"]
    assert {row["id"]: row["type"] for row in json.loads(command("lists", "-o", "json").stdout)} == {
        4821: "STATIC",
        5100: "DYNAMIC",
    }


def test_json_of_a_fresh_process_is_all_there_is_on_standard_output(ledger: Ledger) -> None:
    script = "from ometria_provider.cli import main; main()"
    command = [sys.executable, "-c", script, "lists", "-o", "json"]
    noisy = os.environ | {"PYTHONWARNINGS": "default", "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=noisy)
    assert [row["id"] for row in json.loads(done.stdout)] == [4821, 5100]


def test_lists_before_any_ledger_works_too(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path / 'none.db'}")
    assert command("lists").exit_code == 0
    assert not (tmp_path / "none.db").exists()


def test_lists_of_an_undefined_connection_says_what_to_add(command, ledger: Ledger) -> None:
    result = command("lists", "--connection", "nowhere", "-o", "json")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "Connection 'nowhere' is not defined; add one of type 'ometria'" in result.stderr


def test_lists_with_a_wrong_key_names_the_connection(
    command, ledger: Ledger, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = json.loads(ometria_connection(sandbox)) | {"password": "wrong-key"}
    monkeypatch.setenv("AIRFLOW_CONN_OMETRIA_DEFAULT", json.dumps(connection))
    result = command("lists")
    assert result.exit_code == 1
    assert "Connection 'ometria_default'" in result.stderr
    assert "wrong-key" not in result.output


def test_plan_says_what_a_run_costs_in_one_sentence(command, ledger: Ledger) -> None:
    result = command("plan", "customers")
    assert result.exit_code == 0
    assert result.stdout.startswith("A complete scan of about ")
    assert len(result.stdout.splitlines()) == 1
    data = json.loads(command("plan", "customers", "-o", "json").stdout)
    assert data["problem"] is None
    assert 0 < data["members"] <= 60


@pytest.mark.parametrize(("list_id", "words"), [(999, "has no such list"), (5100, "is a dynamic segment")])
def test_plan_with_a_list_that_cannot_be_used_is_wrong(
    command, ledger: Ledger, folder: Path, list_id: int, words: str
) -> None:
    text = (folder / "customers.yaml").read_text().replace("4821", str(list_id))
    (folder / "customers.yaml").write_text(text)
    result = command("plan", "customers")
    assert result.exit_code == 1
    assert words in result.stderr


@pytest.mark.parametrize("arguments", [["plan", "custmers"], ["mappings", "preview", "custmers"]], ids=" ".join)
def test_unknown_mapping_is_misuse_with_a_suggestion(command, ledger: Ledger, arguments: list[str]) -> None:
    result = command(*arguments)
    assert result.exit_code == 2
    assert "did you mean customers?" in result.stderr


def test_plan_of_a_broken_file_shows_the_place(command, ledger: Ledger, folder: Path) -> None:
    (folder / "customers.yaml").write_text("list: many\nfields: []\n")
    result = command("plan", "customers")
    assert result.exit_code == 1
    assert "customers.yaml" in result.stderr
    assert "^" in result.stderr


def test_plan_says_what_details_cost_and_what_incremental_runs_read(command, ledger: Ledger, folder: Path) -> None:
    row = "{loyalty: extensions.expiring_points.total, remote: points_expiring}"
    (folder / "customers.yaml").write_text(f"list: 4821\nmode: v2\nstrategy: incremental\nfields:\n  - {row}\n")
    result = command("plan", "customers")
    assert "requests for details (" in result.stdout
    assert "other runs read only who changed" in result.stdout


def test_preview_shows_each_values_way(command, ledger: Ledger) -> None:
    result = command("mappings", "preview", "customers", "--limit", 2)
    assert result.exit_code == 0
    assert result.stdout.count("Customer ") == 2
    (line,) = [line for line in result.stdout.split("\n\n")[0].splitlines() if line.split()[0] == "first_name"]
    assert "─strip▶" in line
    assert "firstname" in line


def test_preview_asks_for_the_details_that_the_mapping_reads(command, ledger: Ledger, folder: Path) -> None:
    row = "{loyalty: extensions.expiring_points.total, remote: points_expiring}"
    (folder / "customers.yaml").write_text(f"list: 4821\nmode: v2\nfields:\n  - {row}\n")
    members = json.loads(command("mappings", "preview", "customers", "--limit", 5, "-o", "json").stdout)
    fields = [field for member in members for field in member["fields"] if field["remote"] == "points_expiring"]
    assert len(fields) == 5
    assert all(isinstance(field["final"], int) for field in fields)


def test_preview_as_json_holds_the_record_that_would_be_sent(command, ledger: Ledger) -> None:
    members = json.loads(command("mappings", "preview", "customers", "--limit", 50, "-o", "json").stdout)
    assert len(members) == 50
    outcomes = {member["outcome"] for member in members}
    assert outcomes <= {"record", "filtered", "rejected"}
    record = next(member["record"] for member in members if member["outcome"] == "record")
    assert record["@add_to_lists"] == [4821]
    assert all(member["reasons"] for member in members if member["outcome"] != "record")


def test_doctor_with_all_well_is_fine(command, ledger: Ledger) -> None:
    found = checks(command, exit_code=0)
    assert {state for state, _ in found.values()} == {"ok"}
    assert set(found) == {
        "mapping files",
        "workflow files",
        "expectation suites",
        "ledger",
        "versions",
        "staging",
        "connection antavo_default",
        "clock against antavo_default",
        "connection ometria_default",
        "clock against ometria_default",
        "error log of ometria_default",
        "list 4821 of customers",
    }
    assert command("doctor").stdout.startswith("ok  mapping files")


def test_doctor_with_faults_everywhere_finds_each(
    command, ledger: Ledger, folder: Path, tmp_path: Path, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "broken.yaml").write_text("list: 1\n")
    (folder.parent / "workflows" / "claimed.yaml").write_text("trigger: {event: reward}\n")
    (folder.parent / "expectations" / "customers.json").write_text("{")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AIRFLOW__OMETRIA__STAGING_PATH", f"file://{tmp_path / 'file'}/staging")
    antavo: dict[str, Any] = json.loads(antavo_connection(sandbox)) | {"password": "wrong-secret"}
    monkeypatch.setenv("AIRFLOW_CONN_ANTAVO_DEFAULT", json.dumps(antavo))
    monkeypatch.setenv("AIRFLOW_CONN_OMETRIA_DEFAULT", CLOSED)
    with ledger.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    found = checks(command, exit_code=1)
    # The clock is told though the signature is refused: it may be why.
    assert {subject for subject, (state, _) in found.items() if state != "fail"} == {"clock against antavo_default"}
    assert "broken.yaml" in found["mapping files"][1]
    assert "claimed.yaml: `ometria-sync workflows check` shows" in found["workflow files"][1]
    assert "customers.json" in found["expectation suites"][1]
    assert "is at version 9999" in found["ledger"][1]
    assert "staging_path" in found["staging"][1]
    assert "signature" in found["connection antavo_default"][1]
    assert "127.0.0.1:1" in found["connection ometria_default"][1]


def test_doctor_without_a_ledger_warns_only(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path / 'none.db'}")
    assert checks(command, exit_code=0)["ledger"][0] == "warn"


def test_doctor_warns_of_two_connections_with_one_key(
    command, ledger: Ledger, folder: Path, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OMETRIA_TWIN", ometria_connection(sandbox))
    text = (folder / "customers.yaml").read_text()
    (folder / "twin.yaml").write_text("connections: {ometria: ometria_twin}\n" + text)
    state, words = checks(command, exit_code=0)["connections ometria_default, ometria_twin"]
    assert state == "warn"
    assert "hold the same key" in words


def test_doctor_checks_the_connections_of_workflows_too(command, ledger: Ledger, folder: Path) -> None:
    file = folder.parent / "workflows" / "claimed.yaml"
    file.write_text("connections: {antavo: antavo_nowhere}\n" + file.read_text())
    state, words = checks(command, exit_code=1)["connection antavo_nowhere"]
    assert (state, "is not defined" in words) == ("fail", True)


def test_doctor_without_workflows_has_nothing_to_say_of_them(command, ledger: Ledger, folder: Path) -> None:
    (folder.parent / "workflows" / "claimed.yaml").unlink()
    assert "workflow files" not in checks(command, exit_code=0)
    (folder.parent / "workflows").rmdir()
    assert "workflow files" not in checks(command, exit_code=0)


def test_doctor_warns_of_contacts_whose_mapping_file_is_gone(command, ledger: Ledger, folder: Path) -> None:
    run = PastRun(mapping="renamed", collection="old_collection").write(ledger)
    runs.keep_plan(ledger, run, planned_mapping="{}")
    pushed = PastRun(mapping="shop", collection="own_file").write(ledger)
    write_contact(ledger, pushed, "ann", collection="own_file")
    write_contact(ledger, run, "ann", collection="old_collection")
    PastRun(mapping="dry", collection="never_sent", dry_run=True).write(ledger)
    broken = PastRun(mapping="broken", collection="kept").write(ledger)
    runs.keep_plan(ledger, broken, planned_mapping="{}")
    write_contact(ledger, broken, "ann", collection="kept")
    (folder / "broken.yaml").write_text("list: 1\n")
    found = checks(command, exit_code=1)
    state, words = found["collection old_collection on ometria_default"]
    assert state == "warn"
    assert "it was renamed" in words
    assert not [subject for subject in found for name in ("never_sent", "kept", "own_file") if name in subject]


def test_doctor_warns_of_a_suite_that_no_mapping_reads(command, ledger: Ledger, folder: Path) -> None:
    (folder.parent / "expectations" / "custmers.json").write_text('{"name": "x", "expectations": []}')
    result = command("doctor")
    assert result.exit_code == 0
    assert "no mapping reads custmers.json" in result.stdout


def test_doctor_without_any_mapping_checks_the_default_connections(command, ledger: Ledger, folder: Path) -> None:
    (folder / "customers.yaml").unlink()
    found = checks(command, exit_code=0)
    assert found["mapping files"][0] == "warn"
    assert found["connection antavo_default"][0] == "ok"


@pytest.mark.parametrize(
    ("skew", "state", "words"),
    [(-2.0, "ok", "2 s apart"), (90.0, "warn", "90 s ahead"), (-400.0, "fail", "400 s behind")],
    ids=["together", "drifting", "too far for signatures"],
)
def test_doctor_compares_the_clocks(skew: float, state: str, words: str) -> None:
    from ometria_provider.cli.doctor_systems import clock

    check = clock("antavo_default", skew)
    assert (check.state, check.subject) == (state, "clock against antavo_default")
    assert words in check.words


def test_fields_of_live_members_are_listed_with_how_often_they_are_filled(command, ledger: Ledger) -> None:
    data = json.loads(command("mappings", "fields", "--live", "--limit", 50, "-o", "json").stdout)
    filled = {field["name"]: field["filled"] for field in data["loyalty"]}
    assert data["members"] == 50
    assert filled["id"] == 50
    assert 0 < filled["properties.favourite_store"] <= 50
    assert any(name.startswith("tiers.") and filled[name] for name in filled if "<" not in name)
    assert "filled" in command("mappings", "fields", "--live", "--mode", "v2").stdout
