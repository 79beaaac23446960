"""The mappings that join two accounts, those among them whose file broke."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ometria_provider.exceptions import Misconfigured
from ometria_provider.ledger import runs
from ometria_provider.ledger.engine import Ledger
from ometria_provider.mapping.files import load_mapping
from ometria_provider.mapping.model import Connections
from ometria_provider.operators.joining import joining
from ometria_provider.validation.suites import Suite

BOTH = Connections()


def write(folder: Path, name: str, **keys: Any) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps({"list": 1, "fields": [{"loyalty": "score", "remote": "points"}]} | keys))
    return path


def plan(ledger: Ledger, name: str, planned: str, run_id: str = "manual__1") -> None:
    run = runs.open_run(ledger, dag_id="any", run_id=run_id, mapping=name, dry_run=False)
    suite = msgspec.json.encode(Suite((), b""), enc_hook=str).decode()
    runs.keep_plan(ledger, run, planned_mapping=planned, planned_suite=suite)


def names(ledger: Ledger, folder: Path) -> list[str]:
    return [mapping.name for mapping in joining(ledger, folder, BOTH)]


def test_joining_takes_the_files_of_both_accounts_alone(ledger: Ledger, tmp_path: Path) -> None:
    write(tmp_path, "one")
    write(tmp_path, "two")
    write(tmp_path, "elsewhere", connections={"ometria": "ometria_other"})
    assert names(ledger, tmp_path) == ["one", "two"]
    assert names(ledger, tmp_path / "nowhere") == []


def test_joining_takes_a_broken_file_as_its_last_run_was_planned(ledger: Ledger, tmp_path: Path) -> None:
    for number, list_id in enumerate((7, 8)):
        planned = load_mapping(write(tmp_path, "broken", list=list_id)).model_dump_json()
        plan(ledger, "broken", planned, f"manual__{number}")
    write(tmp_path, "broken", list="none")
    write(tmp_path, "never_ran", list="none")
    (found,) = joining(ledger, tmp_path, BOTH)
    assert (found.name, found.list) == ("broken", 8)


def test_joining_leaves_out_a_broken_file_that_was_planned_for_other_accounts(ledger: Ledger, tmp_path: Path) -> None:
    path = write(tmp_path, "elsewhere", connections={"ometria": "ometria_other"})
    plan(ledger, "elsewhere", load_mapping(path).model_dump_json())
    path.write_text("nonsense")
    assert names(ledger, tmp_path) == []


def test_joining_refuses_a_broken_file_whose_plan_it_cannot_read(ledger: Ledger, tmp_path: Path) -> None:
    write(tmp_path, "broken", list="none")
    plan(ledger, "broken", '{"of": "another version"}')
    with pytest.raises(Misconfigured, match=r"broken\.yaml"):
        joining(ledger, tmp_path, BOTH)
