"""docs/reference/sandbox.md: what the sandbox does, and how to steer it."""

from __future__ import annotations

import inspect
import json
from typing import Any

from ometria_provider.sandbox import control, faults, webhooks
from ometria_provider.sandbox.settings import SandboxSettings

from reference import markdown

_INTRO = """\
Stand-ins for both APIs on this machine, with made-up members: `make run` and `make up` start one when neither
connection is given, and `ometria-sync sandbox` starts one by hand ([its flags](cli.md#ometria-sync-sandbox)). They
follow the vendors' documents, not our code. Limits are counted in a sliding window, the strictest reading of "8 a
second". Records are validated after the answer, as Ometria does."""

_ROOT = f"http://{SandboxSettings.host}:{SandboxSettings.port}"


def page() -> str:
    """Return the page."""
    return markdown.page(
        "Sandbox",
        "plugins/ometria_provider/sandbox/`, `control.py` and `faults.py",
        _INTRO,
        f"Connections to one on port {SandboxSettings.port}:\n\n" + markdown.block(_connections(), "sh"),
        "Twenty members earn points, the next three pushes fail, and ten members claim rewards:\n\n"
        + markdown.block(_examples(), "sh"),
        "## What can be seen and steered\n\n" + markdown.block(_plain(control.__doc__)),
        "## Webhook node\n\n" + markdown.block(_plain(webhooks.Node.__doc__)),
        "## Faults\n\n" + markdown.block(_plain(faults.Fault.__doc__)),
    )


def _connections() -> str:
    given = SandboxSettings()
    extra = {"read_api_url": f"{_ROOT}/read", "credential_scope": given.credential_scope}
    antavo = {"conn_type": "antavo", "host": f"{_ROOT}/loyalty", "login": given.antavo_key}
    secret = {"password": given.antavo_secret, "extra": extra}
    ometria = {"conn_type": "ometria", "host": f"{_ROOT}/ometria", "password": given.ometria_key}
    return "\n".join(
        [
            f"export AIRFLOW_CONN_ANTAVO_DEFAULT='{json.dumps(antavo | secret)}'",
            f"export AIRFLOW_CONN_OMETRIA_DEFAULT='{json.dumps(ometria)}'",
        ]
    )


def _examples() -> str:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("members", {"change": 20}),
        ("faults", {"kind": "500", "api": "ometria", "path": "/v2/push", "times": 3}),
        ("claims", {"count": 10}),
    ]
    return "\n".join(f"curl -d '{json.dumps(content)}' {_ROOT}/_sandbox/{what}" for what, content in calls)


def _plain(docstring: str | None) -> str:
    return inspect.cleandoc(docstring or "").replace("``", "`").replace(":param ", "").strip()
