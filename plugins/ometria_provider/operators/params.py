"""The params of runs: declared for Airflow's form, and checked again however the run was triggered."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ometria_provider.exceptions import Misconfigured

#: Params of a contact sync by name: their JSON Schema and help text.
PARAMS: dict[str, dict[str, Any]] = {
    "dry_run": {
        "default": False,
        "type": "boolean",
        "title": "Dry run",
        "description": "Do everything but send: the report counts who would be created, changed, left alone and "
        "rejected, and how many would lose a value.",
    },
    "strategy": {
        "default": None,
        "type": ["null", "string"],
        "enum": [None, "full", "incremental"],
        "title": "Strategy",
        "description": "`full` reads all customers from Antavo's Read API; `incremental` only those who changed since "
        "the last run. Empty: as the mapping file says.",
    },
    "customer_ids": {
        "default": None,
        "type": ["null", "array"],
        "items": {"type": ["string", "integer"]},
        "title": "Only these customers",
        "description": "Antavo's ids of the customers that the run is for, one a line; none: everybody. What was "
        "rejected before is tried again for them, and the mapping's `limits` do not apply. With `retry_run`: "
        "only these of that run's, by the ids that `ometria-sync rejections` shows.",
    },
    "retry_run": {
        "default": None,
        "type": ["null", "integer", "string"],
        "title": "Retry a run",
        "description": "The number of an earlier run of this mapping, or MAPPING:latest: whatever of that run is still "
        "undelivered is read anew and tried again. The mapping's `limits` do not apply.",
    },
}

#: The same of a run of campaigns.
CAMPAIGN_PARAMS: dict[str, dict[str, Any]] = {
    "workflow": {
        "default": None,
        "type": ["null", "string"],
        "title": "Only this workflow",
        "description": "The name of a workflow file, without `.yaml`: only its events are delivered, and everything "
        "that may still be mailed is collected again. Empty: all workflows of the connection.",
    },
    "send_again": {
        "default": None,
        "type": ["null", "string", "integer"],
        "title": "Send an event again",
        "description": "Antavo's id of one event that goes again under the same id, however old it is, for each "
        "workflow that it started or was kept from (with `workflow`: for that one). A campaign that it started "
        "already may start twice.",
    },
}


@dataclass(frozen=True)
class CampaignParams:
    """What a run of campaigns was triggered with, checked.

    :param workflow: the only one that it delivers for; None: all.
    :param send_again: the event that goes again; None: none does.
    """

    workflow: str | None = None
    send_again: str | None = None


@dataclass(frozen=True)
class RunParams:
    """What a run was triggered with, checked.

    :param customer_ids: Antavo's ids of the customers that the run is for, each once; empty: everybody.
    :param strategy: what is read; None: as the mapping says.
    :param retry_run: a RUN whose undelivered members are tried again; None: no retry.
    """

    customer_ids: tuple[str, ...] = ()
    retry_run: str | None = None
    strategy: str | None = None


def run_params(conf: Mapping[str, Any]) -> RunParams:
    """Check what a run was triggered with, and return it.

    :raises Misconfigured: for an unknown param or a wrong value, with the params that there are.
    """
    _check_names(conf, PARAMS)
    for name, value in conf.items():
        _check_value(name, value)
    return RunParams(
        _customer_ids(conf.get("customer_ids")), _retry_run(conf.get("retry_run")), conf.get("strategy") or None
    )


def campaign_params(conf: Mapping[str, Any], workflows: Collection[str]) -> CampaignParams:
    """Check what a run of campaigns was triggered with, and return it.

    :param workflows: the names of the connection's workflow files, broken ones too.
    :raises Misconfigured: for an unknown param or a wrong value, with what there is.
    """
    _check_names(conf, CAMPAIGN_PARAMS)
    workflow, event = conf.get("workflow"), conf.get("send_again")
    if workflow is not None and workflow not in workflows:
        raise Misconfigured(
            f"Param `workflow`: no workflow of this connection has this name; {_hint(workflow, workflows)}"
        )
    if event is not None and (isinstance(event, bool) or not isinstance(event, str | int) or not str(event).strip()):
        raise Misconfigured("Param `send_again` must be Antavo's id of an event, as `ometria-sync events` shows it.")
    return CampaignParams(workflow, None if event is None else str(event).strip())


def _check_names(conf: Mapping[str, Any], params: Collection[str]) -> None:
    for name in conf:
        if name not in params:
            raise Misconfigured(f"There is no param `{name}`: {_hint(name, params)}")


def _hint(name: Any, known: Collection[str]) -> str:
    near = difflib.get_close_matches(str(name), known, n=1)
    return f"did you mean `{near[0]}`?" if near else f"there are {', '.join(f'`{one}`' for one in known)}."


def _check_value(name: str, value: Any) -> None:
    if name == "dry_run" and not isinstance(value, bool):
        raise Misconfigured("Param `dry_run` must be true or false.")
    if name == "strategy" and value not in (None, "", "full", "incremental"):
        raise Misconfigured("Param `strategy` must be `full` or `incremental`; leave it out to go by the mapping file.")


def _customer_ids(value: Any) -> tuple[str, ...]:
    """Return the ids as text; a list that names nobody is refused, where it would else stand for everybody."""
    if value is None:
        return ()
    are_ids = isinstance(value, list) and all(isinstance(id_, str | int) and not isinstance(id_, bool) for id_ in value)
    # A form's field leaves blank lines behind.
    ids = [text for id_ in value if (text := str(id_).strip())] if are_ids else []
    if not ids:
        raise Misconfigured(
            'Param `customer_ids` must be a list of Antavo\'s customer ids, as ["280e", "281f"]; leave it out to run '
            "for everybody."
        )
    return tuple(dict.fromkeys(ids))


def _retry_run(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise Misconfigured("Param `retry_run` must be the number of a run, or MAPPING:latest.")
    return str(value).strip()
