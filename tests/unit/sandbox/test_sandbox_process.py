from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest
from ometria_provider.sandbox import SandboxSettings, running


def test_running_sandbox_gives_connections_that_fit_it() -> None:
    with running(SandboxSettings(members=3, ometria_push_per_second=20)) as sandbox:
        antavo = json.loads(sandbox.antavo_connection(signing="escher"))
        ometria = json.loads(sandbox.ometria_connection(concurrency=2))
        assert sandbox.control("members")["members"] == 3
    assert (antavo["conn_type"], antavo["host"]) == ("antavo", sandbox.url + "/loyalty")
    assert (antavo["login"], antavo["password"]) == (sandbox.settings.antavo_key, sandbox.settings.antavo_secret)
    assert antavo["extra"] == {
        "read_api_url": sandbox.url + "/read",
        "credential_scope": "sandbox/api/antavo_request",
        "requests_per_minute": 1500,
        "signing": "escher",
    }
    assert (ometria["conn_type"], ometria["host"], ometria["password"]) == (
        "ometria",
        sandbox.url + "/ometria",
        sandbox.settings.ometria_key,
    )
    assert ometria["extra"] == {"push_requests_per_second": 20, "data_requests_per_second": 4, "concurrency": 2}


def test_running_sandbox_leaves_no_process_behind_when_a_test_fails() -> None:
    with pytest.raises(ZeroDivisionError), running(SandboxSettings(members=3)) as sandbox:
        _ = 1 / 0
    assert not psutil.pid_exists(sandbox.process.pid)


def test_running_sandbox_that_cannot_start_is_an_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database" * 100)
    with pytest.raises(RuntimeError, match="did not start"), running(SandboxSettings(state=path)):
        pass
    assert "cannot use its state file" in capfd.readouterr().err
