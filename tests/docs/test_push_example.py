"""docs/examples/push_file.py works: it sends a file's contacts to a sandbox, and a second time nothing."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ometria_provider.sandbox import RunningSandbox, SandboxSettings, running

#: The line of the how-to, one with more, and one with a mistake in it.
ROWS = [
    {"id": "c-1", "email": "ann@example.com", "firstname": "Ann", "properties": {"last_shop": "Leeds"}},
    {"id": "c-2", "email": "bob@example.com", "lastname": None},
    {"email": "nobody@example.com"},
]


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningSandbox]:
    file = tmp_path / "contacts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    monkeypatch.setenv("SHOP_CONTACTS", str(file))
    monkeypatch.setenv("AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path / 'ledger.db'}")
    with running(SandboxSettings(port=0, members=0, validation_delay_ms=0)) as started:
        monkeypatch.setenv("AIRFLOW_CONN_OMETRIA_DEFAULT", started.ometria_connection())
        yield started


def _example(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("push_file", root / "docs" / "examples" / "push_file.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _push(root: Path, run_id: str) -> Any:
    context: Any = {"run_id": run_id, "params": {}}
    return _example(root).dag.get_task("push").execute(context)


def test_push_example_sends_what_changed_and_nothing_twice(sandbox: RunningSandbox, root: Path) -> None:
    first = _push(root, "first")
    assert (first["read"], first["accepted"], first["rejected"], first["pending"]) == (3, 2, 1, 0)
    assert sandbox.control("contacts")["collections"]["shop"]["contacts"] == 2

    second = _push(root, "second")
    assert (second["unchanged"], second["accepted"], second["sent"]) == (2, 0, 0)


def test_push_example_of_the_how_to_is_the_file_s(root: Path) -> None:
    page = (root / "docs" / "how-to" / "push-your-own-file.md").read_text(encoding="utf-8")
    shown = page.split("```python\n")[1].split("```")[0].splitlines()
    code = (root / "docs" / "examples" / "push_file.py").read_text(encoding="utf-8")
    wanted = [line.strip() for line in shown if "records=" not in line]  # the file lets a variable replace the address
    assert all(line in code for line in wanted)
    assert "s3://shop/contacts/{{ ds }}.parquet" in page
    assert "s3://shop/contacts/{{ ds }}.parquet" in code
