"""The params of a contact sync: declared for Airflow's form, and checked again however the run was triggered."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from ometria_provider.exceptions import Misconfigured

#: Params by name: their JSON Schema and help text.
PARAMS: dict[str, dict[str, Any]] = {
    "dry_run": {
        "default": False,
        "type": "boolean",
        "title": "Dry run",
        "description": "Do everything but send: the report counts who would be created, changed, left alone and "
        "rejected, and how many would lose a value.",
    },
    "strategy": {
        "default": "full",
        "type": "string",
        "enum": ["full"],
        "title": "Strategy",
        "description": "`full` reads all customers from Antavo's Read API.",
    },
}

#: Params that the design names and this version does not have.
NOT_YET = ("customer_ids", "retry_run")


def run_params(conf: Mapping[str, Any]) -> None:
    """Check what a run was triggered with.

    :raises Misconfigured: for an unknown param or a wrong value, with the params that there are.
    """
    for name, value in conf.items():
        if name in NOT_YET:
            raise Misconfigured(f"Param `{name}` is not built yet in this version; start the run without it.")
        if name not in PARAMS:
            near = difflib.get_close_matches(name, PARAMS, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(f'`{known}`' for known in PARAMS)}."
            raise Misconfigured(f"There is no param `{name}`: {hint}")
        _check_value(name, value)


def _check_value(name: str, value: Any) -> None:
    if name == "dry_run" and not isinstance(value, bool):
        raise Misconfigured("Param `dry_run` must be true or false.")
    if name == "strategy" and value == "incremental":
        raise Misconfigured("Strategy `incremental` is not built yet in this version; `full` reads everything.")
    if name == "strategy" and value != "full":
        raise Misconfigured("Param `strategy` must be `full`.")
