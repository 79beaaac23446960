import json
import sqlite3
from pathlib import Path

import pytest
from ledgers import PastRun, green_run, unchanged_run, write_batch, write_contact
from ometria_provider.ledger import engine as engine_module
from ometria_provider.ledger.engine import HEAD, Ledger, open_ledger


def test_history_lists_runs_in_columns(command, ledger: Ledger) -> None:
    green_run().write(ledger)
    PastRun(mapping="other", state="failed", reason="Connection 'x' is wrong. " * 9).write(ledger)
    result = command("history")
    head, newest, oldest = result.stdout.splitlines()
    assert result.exit_code == 0
    assert head.split()[:4] == ["run", "mapping", "state", "started"]
    assert newest.split()[:3] == ["2", "other", "failed"]
    assert newest.endswith("…")
    assert oldest.split()[1:3] == ["customers", "succeeded"]


def test_history_as_json_holds_the_columns_others_read(command, ledger: Ledger) -> None:
    green_run().write(ledger)
    result = command("history", "-o", "json")
    (row,) = json.loads(result.stdout)
    assert (row["id"], row["mapping"], row["state"], row["read"], row["accepted"]) == (
        1,
        "customers",
        "succeeded",
        2000,
        1973,
    )
    assert row["started_at"].endswith("Z")


def test_history_filters_and_says_when_nothing_is_left(command, ledger: Ledger) -> None:
    green_run().write(ledger)
    unchanged_run().write(ledger)
    assert len(json.loads(command("history", "--limit", 1, "-o", "json").stdout)) == 1
    assert command("history", "--mapping", "other").stdout == "No such run so far.\n"
    assert command("history", "--state", "failed").exit_code == 0


def test_show_prints_the_report_of_a_number_and_of_the_latest(command, ledger: Ledger) -> None:
    green_run().write(ledger)
    unchanged_run().write(ledger)
    by_number, latest = command("show", 1), command("show", "customers:latest")
    assert "1,973 of 2,000 members delivered" in by_number.stdout
    assert "Nothing to send: all 2,000 members are unchanged." in latest.stdout
    assert (by_number.exit_code, latest.exit_code) == (0, 0)


def test_show_as_json_is_the_whole_report(command, ledger: Ledger) -> None:
    green_run().write(ledger)
    report = json.loads(command("show", "customers:latest", "-o", "json").stdout)
    assert report["run"]["id"] == 1
    assert report["rejections"][0]["members"] == 12
    assert report["apis"][1]["api"] == "Ometria"


@pytest.mark.parametrize("name", ["show", "rejections"])
@pytest.mark.parametrize("run", ["99", "nobody:latest", "rubbish"])
def test_unknown_run_is_misuse(command, ledger: Ledger, name: str, run: str) -> None:
    result = command(name, run, "-o", "json")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "run" in result.stderr
    assert "Traceback" not in result.stderr


def test_rejections_lists_and_filters(command, ledger: Ledger) -> None:
    green_run().write(ledger)
    result = command("rejections", "customers:latest")
    assert result.exit_code == 0
    words = ["m0", "mapping", "phone_number", "is", "no", "phone", "number", "not", "delivered"]
    assert result.stdout.splitlines()[1].split() == words
    rows = json.loads(command("rejections", 1, "--reason", "PHONE", "--stage", "mapping", "-o", "json").stdout)
    assert len(rows) == 12
    assert command("rejections", 1, "--stage", "push").stdout == "This run rejected nobody of that kind.\n"


def test_rejections_beyond_the_limit_are_announced(command, ledger: Ledger) -> None:
    green_run().write(ledger)
    result = command("rejections", 1, "--limit", 5, "-o", "json")
    assert len(json.loads(result.stdout)) == 5
    assert "more than these 5" in result.stderr
    assert command("rejections", 1, "--limit", 12).stderr == ""


def test_trace_tells_state_reason_run_and_request(command, ledger: Ledger) -> None:
    run = green_run().write(ledger)
    write_contact(ledger, run, "ann", push_batch_id=write_batch(ledger, run, request_id="req-1"))
    write_contact(ledger, run, "m3", state="rejected", reason="phone_number: is no phone number")
    ann, bob = command("trace", "ann"), command("trace", "m3")
    assert (ann.exit_code, bob.exit_code) == (0, 0)
    assert "accepted, Ometria has its latest record" in ann.stdout
    assert "of run 1, request id req-1: acknowledged" in ann.stdout
    assert "Last complete scan: run 1 read 2,000 members" in ann.stdout
    assert "why          phone_number: is no phone number" in bob.stdout
    assert "Its rejections, the newest first" in bob.stdout


def test_trace_of_a_stranger_says_what_to_check(command, ledger: Ledger) -> None:
    green_run().write(ledger)
    result = command("trace", "nobody")
    assert result.exit_code == 1
    assert "No mapping ever read a customer with this id." in result.stdout
    assert "customers: Last complete scan: run 1" in result.stdout
    assert json.loads(command("trace", "nobody", "-o", "json").stdout)["known"] is False


def test_trace_as_json_gives_each_standing(command, ledger: Ledger) -> None:
    write_contact(ledger, green_run().write(ledger), "ann")
    found = json.loads(command("trace", "ann", "-o", "json").stdout)
    assert (found["known"], found["standings"][0]["state"]) == (True, "accepted")


@pytest.mark.parametrize("arguments", [["history"], ["show", "1"], ["rejections", "1"], ["trace", "ann"]])
def test_commands_without_a_ledger_say_how_to_get_one_and_make_none(
    command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path / 'none.db'}")
    result = command(*arguments)
    assert result.exit_code == 1
    assert "There is no ledger at" in result.stderr
    assert "ometria-sync ledger upgrade" in result.stderr
    assert not (tmp_path / "none.db").exists()


def test_commands_with_a_ledger_of_another_version_are_refused(command, ledger: Ledger) -> None:
    with ledger.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    result = command("history")
    assert result.exit_code == 1
    assert "is at version 9999" in result.stderr


def test_commands_with_a_dead_database_say_so_without_the_password(command, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql+psycopg://ledger:s3cret@127.0.0.1:1/ledger"
    monkeypatch.setenv("AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN", url)
    result = command("history")
    assert result.exit_code == 1
    assert "does not answer" in result.stderr
    assert "s3cret" not in result.output


def test_ledger_upgrade_makes_the_tables(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'ledger.db'}"
    monkeypatch.setenv("AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN", url)
    result = command("ledger", "upgrade")
    assert result.exit_code == 0
    assert f"is at version {HEAD}." in result.stdout
    assert open_ledger(url).version() == HEAD
    assert command("history").exit_code == 0


def test_ledger_upgrade_of_a_locked_ledger_is_wrong_in_one_line(
    command, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "BUSY_SECONDS", 0.05)
    ledger.engine.dispose()
    other = sqlite3.connect(ledger.engine.url.database or "", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    result = command("ledger", "upgrade")
    other.close()
    assert result.exit_code == 1
    assert "locked" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_prune_says_what_is_gone(command, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW__OMETRIA__WORKFLOWS_FOLDER", str(tmp_path))
    green_run().write(ledger)
    with ledger.write() as connection:
        connection.exec_driver_sql("UPDATE sync_run SET ended_at = '2026-01-01 00:00:00'")
    unchanged_run().write(ledger)
    green_run(run_id="third").write(ledger)
    result = command("ledger", "prune")
    assert result.exit_code == 0
    assert result.stdout.strip().endswith("UTC: runs 1, findings 20, events 0, late errors 0.")
    assert command("ledger", "prune", "--keep-days", 0).exit_code == 2


def test_prune_leaves_events_alone_while_a_workflow_file_is_broken(
    command, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW__OMETRIA__WORKFLOWS_FOLDER", str(tmp_path))
    (tmp_path / "broken.yaml").write_text("trigger: 1\n")
    green_run().write(ledger)
    result = command("ledger", "prune")
    assert result.exit_code == 0
    assert "Events stay: a workflow file is broken" in result.stderr
