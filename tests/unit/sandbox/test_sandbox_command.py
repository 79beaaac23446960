from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from ometria_provider.sandbox import SandboxSettings, server
from ometria_provider.sandbox.command import sandbox
from typer.testing import CliRunner

SETTINGS = [
    SandboxSettings(),
    SandboxSettings(
        host="127.0.0.2",
        port=0,
        members=9,
        seed=1,
        bulk_import=3,
        state=Path("/tmp/x.db"),
        lists=(1, 2),
        dynamic_lists=(3,),
        antavo_requests_per_minute=0,
        ometria_push_per_second=9,
        ometria_data_per_second=5,
        most_events=50,
        latency_ms=500,
        validation_delay_ms=1,
        require_signature=False,
        antavo_key="k",
        antavo_secret="s",
        credential_scope="a/b",
        read_credential_scope="c/d",
        ometria_key="o",
        unknown_fields="error",
        declared_fields=("a b", "c"),
        campaign_event_type="claimed",
        campaign_template=Path("/tmp/x.txt"),
        queue_headers=True,
        faults=({"kind": "500", "times": 3}, {"kind": "html"}),
    ),
]


def call(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[SandboxSettings]]:
    served: list[SandboxSettings] = []
    monkeypatch.setattr(server, "serve", lambda settings, *_, **__: served.append(settings))
    app = typer.Typer()
    app.command()(sandbox)
    return CliRunner().invoke(app, arguments), served


@pytest.mark.parametrize("settings", SETTINGS, ids=["defaults", "everything"])
def test_settings_survive_the_command_line(settings: SandboxSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    result, served = call(settings.arguments(), monkeypatch)
    assert result.exit_code == 0, result.output
    assert served == [settings]


def test_everything_above_differs_from_the_defaults() -> None:
    default, other = SETTINGS
    same = [f.name for f in dataclasses.fields(default) if getattr(default, f.name) == getattr(other, f.name)]
    assert same == []


@pytest.mark.parametrize(
    "arguments",
    [["--unknown-fields", "burn"], ["--faults", "{"], ["--faults", "[]"], ["--members", "-1"], ["--membrs", "1"]],
)
def test_wrong_flag_is_refused(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    result, served = call(arguments, monkeypatch)
    assert (result.exit_code, served) == (2, [])


def test_command_loads_no_server_before_it_runs() -> None:
    heavy = "('aiohttp', 'airflow', 'pandas')"
    code = f"import sys, ometria_provider.sandbox.command; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
