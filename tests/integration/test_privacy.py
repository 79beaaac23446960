"""Members' data and keys stay out of logs, errors, ledger, XCom and Airflow's database, when all goes wrong too."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from ometria_provider.report import run_report
from ometria_provider.report_text import render
from sync import FIELDS, Sync
from work import Outcome

#: What no text may hold: everything of this member, and the keys.
MEMBER = {
    "email": "quillon.x@needle.example",
    "first_name": "Quillonetta",
    "last_name": "Vanterpoolski",
    "mobile_phone": "+447700900123",
    "birth_date": "1961-07-23",
    "properties.member_number": 4_987_654_321_012_345_678,
    "properties.essay": "a-rather-private-essay",
}
KEYS = ("sandbox-secret", "sandbox-ometria-key", "sandbox-key")
NEEDLES = (*(str(value) for value in MEMBER.values()), "447700900123", *KEYS)
ROWS = [
    *FIELDS,
    {"loyalty": "mobile_phone", "remote": "phone_number"},
    {"loyalty": "birth_date", "remote": "date_of_birth"},
    {"loyalty": "properties.essay", "remote": "essay"},
]


def clean(texts: Iterable[str]) -> None:
    for text in texts:
        found = [needle for needle in NEEDLES if needle in text]
        assert not found, f"{found} in {text[:2000]}"


def everything_said(sync: Sync, run: Outcome, capfd: pytest.CaptureFixture[str]) -> list[str]:
    """Return all texts that a run left for people: log, errors with their causes, ledger, report."""
    output = capfd.readouterr()
    texts = [output.out, output.err]
    assert "complete scan" in "".join(texts) or "plan" in run.errors, "the tasks' log is looked at"
    for error in run.errors.values():
        cause: BaseException | None = error
        while cause is not None:
            texts.append(f"{cause!r} {cause}")
            cause = cause.__cause__
    for table in ("sync_run", "sync_step", "rejection", "rule_result", "push_batch", "contact_state"):
        texts.append(str(sync.query(f"SELECT * FROM {table}")))
    texts.append(render(run_report(sync.ledger, run.row["id"])))
    return texts


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"kind": "poison"},
        {"kind": "500", "path": "/v2/push"},
        {"kind": "html", "path": "/v2/push"},
        {"kind": "truncated", "api": "read", "skip": 1},
        {"kind": "reset_before", "api": "antavo"},
        {"kind": "429", "api": "read"},
        {"kind": "rejected"},
    ],
    ids=lambda fault: str(fault.get("kind", "none")),
)
def test_run_with_faults_tells_nothing_of_members_and_keys(
    sync: Sync, capfd: pytest.CaptureFixture[str], fault: dict[str, object]
) -> None:
    sync.mapping(fields=ROWS)
    sync.nobody()
    member = sync.member(**MEMBER)
    for changes in ({"birth_date": "2999-07-23"}, {"mobile_phone": "+447700900123-nonsense"}, {"email": "a b@c"}):
        sync.member(**MEMBER | changes)
    if fault:
        sync.fault(**fault | ({"contacts": [member]} if fault["kind"] in {"poison", "rejected"} else {}))
    run = sync.run()
    clean(everything_said(sync, run, capfd))


def test_wrong_key_is_not_told(sync: Sync, capfd: pytest.CaptureFixture[str]) -> None:
    sync.mapping()
    sync.connect(antavo={"password": "sandbox-secret-mistyped"}, ometria={"password": "sandbox-ometria-key-mistyped"})
    run = sync.run()
    assert run.state == "failed"
    clean(everything_said(sync, run, capfd))


def test_unsigned_key_in_the_url_is_not_told_when_the_server_is_gone(
    sync: Sync, capfd: pytest.CaptureFixture[str]
) -> None:
    sync.mapping()
    sync.connect(antavo={"extra": {"signing": "none", "read_api_url": "http://127.0.0.1:9"}})
    run = sync.run()
    assert run.state == "failed"
    clean(everything_said(sync, run, capfd))


def test_rule_that_fails_shows_ids_and_no_values(sync: Sync, capfd: pytest.CaptureFixture[str]) -> None:
    sync.mapping(fields=ROWS)
    sync.nobody()
    members = [sync.member(**MEMBER), sync.member(**MEMBER)]
    sync.suite(
        {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "email"}, "severity": "warning"},
        {"type": "expect_column_values_to_not_match_regex", "kwargs": {"column": "lastname", "regex": "ski$"}},
        {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "essay", "value_set": ["x"]}},
    )
    run = sync.run()
    assert {row["contact_id"] for row in run.rejections} == set(members)
    clean(everything_said(sync, run, capfd))


def test_run_scheduled_by_airflow_leaves_nothing_in_its_database_and_output(
    sync: Sync, airflow_database: None, capfd: pytest.CaptureFixture[str]
) -> None:
    sync.mapping(fields=ROWS)
    sync.nobody()
    member = sync.member(**MEMBER)
    sync.member(**MEMBER | {"birth_date": "2999-07-23"})
    sync.fault("poison", contacts=[member])
    run = sync.run_dag()
    assert run.state == "failed"
    output = capfd.readouterr()
    assert "plan" in output.out + output.err
    clean([output.out, output.err])
    database = Path(os.environ["AIRFLOW_HOME"]) / "airflow.db"
    written = b"".join(file.read_bytes() for file in database.parent.glob("airflow.db*"))
    assert run.work.run_id.encode() in written
    clean([written.decode("latin-1")])


def test_ledger_keeps_no_personal_data(sync: Sync) -> None:
    sync.mapping(fields=ROWS)
    sync.nobody()
    sync.member(**MEMBER)
    assert sync.run().green
    sync.ledger.engine.dispose()
    clean([file.read_bytes().decode("latin-1") for file in sync.folder.glob("ledger.db*")])
