"""docs/reference/params.md: what a run can be triggered with."""

from __future__ import annotations

from typing import Any

from ometria_provider.operators.params import CAMPAIGN_PARAMS, PARAMS

from reference import markdown


def page() -> str:
    """Return the page."""
    return markdown.page(
        "Params of a run",
        "plugins/ometria_provider/operators/params.py",
        "Give them in Airflow's trigger form, as the run's `conf`, or as `make run PARAMS='{\"dry_run\": true}'`. The "
        "task `plan` refuses an unknown param or a wrong value, however the run was triggered.",
        _table(PARAMS),
        "## Params of a run of campaigns\n\nThe task `campaigns` refuses the same. `make run WORKFLOW=NAME` gives "
        "`workflow`.",
        _table(CAMPAIGN_PARAMS),
    )


def _table(params: dict[str, dict[str, Any]]) -> str:
    rows = [
        (markdown.code(name), _type(param), markdown.code(param["default"]), param["description"])
        for name, param in params.items()
    ]
    return markdown.table(("param", "type", "default", "what it does"), rows)


def _type(param: dict[str, Any]) -> str:
    """Return what a param's JSON Schema allows, in words."""
    kinds = [param["type"]] if isinstance(param["type"], str) else param["type"]
    words = " or ".join(kind for kind in kinds if kind != "null")
    return words + (f": {', '.join(filter(None, param['enum']))}" if "enum" in param else "")
