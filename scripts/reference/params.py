"""docs/reference/params.md: what a run can be triggered with."""

from __future__ import annotations

from typing import Any

from ometria_provider.operators.params import PARAMS

from reference import markdown


def page() -> str:
    """Return the page."""
    rows = [
        (
            markdown.code(name),
            _type(param),
            markdown.code(param["default"]),
            param["description"],
        )
        for name, param in PARAMS.items()
    ]
    return markdown.page(
        "Params of a run",
        "plugins/ometria_provider/operators/params.py",
        "Give them in Airflow's trigger form, as the run's `conf`, or as `make run PARAMS='{\"dry_run\": true}'`. The "
        "task `plan` refuses an unknown param or a wrong value, however the run was triggered.",
        markdown.table(("param", "type", "default", "what it does"), rows),
    )


def _type(param: dict[str, Any]) -> str:
    """Return what a param's JSON Schema allows, in words."""
    kinds = [param["type"]] if isinstance(param["type"], str) else param["type"]
    words = " or ".join(kind for kind in kinds if kind != "null")
    return words + (f": {', '.join(filter(None, param['enum']))}" if "enum" in param else "")
