"""What `doctor` learns from the ledger: what is red or late, what changed since, what nobody looks after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ometria_provider.cli.check import Check
from ometria_provider.cli.folder import mapping_names
from ometria_provider.exceptions import SyncError
from ometria_provider.text import moment

if TYPE_CHECKING:
    from ometria_provider.ledger.engine import Ledger
    from ometria_provider.ledger.runs import Run
    from ometria_provider.mapping.model import Mapping
    from ometria_provider.settings import Settings

#: Limits that stop a run whose members look wrong; without any of them nothing does.
STOPS = ("max_rejected_share", "max_departed_share", "max_cleared_share", "max_drop_share")


def runs_of(ledger: Ledger, settings: Settings, mappings: Sequence[Mapping]) -> Iterator[Check]:
    """Check what the ledger knows of the mappings' runs."""
    yield from _standing(ledger, settings)
    for mapping in mappings:
        yield from _limits(mapping)
        yield from _last_plan(ledger, mapping)
    yield from _orphans(ledger, settings, mappings)


def _standing(ledger: Ledger, settings: Settings) -> Iterator[Check]:
    """Say what alerts would say, and of each scheduled mapping that is not late when it would be."""
    from ometria_provider.attention import KINDS, freshness, needing_attention, watched_dags
    from ometria_provider.ledger.standing import standing

    try:
        dags = watched_dags(settings, ledger)
        found = needing_attention(ledger, settings, dags, datetime.now(UTC))
    except SyncError as error:
        yield Check("fail", "attention", str(error))
        return
    for one in found:
        if one.kind == "broken":
            continue  # said with the mapping files
        words = f"{one.words} See the runbook, “{KINDS[one.kind]}”."
        yield Check("warn" if one.kind == "approval" else "fail", one.dag_id, words)
    for dag in dags:
        fresh = freshness(dag, standing(ledger, dag.dag_id).green_at, settings) if dag.campaigns is None else None
        if fresh and not fresh.is_stale(datetime.now(UTC)):
            last = f"last green {moment(fresh.green_at)}" if fresh.green_at else "no green run yet"
            late = f"late from {moment(fresh.stale_at)} on" if fresh.stale_at else "nobody watches it yet"
            yield Check("ok", f"schedule of {dag.name}", f"{fresh.schedule} ({fresh.timezone}); {last}; {late}")


def _limits(mapping: Mapping) -> Iterator[Check]:
    if all(getattr(mapping.limits, name) is None for name in STOPS):
        words = f"nothing stops a run that goes wrong: {', '.join(STOPS)} are all null. Set one of them."
        yield Check("warn", f"limits of {mapping.name}", words)


def _last_plan(ledger: Ledger, mapping: Mapping) -> Iterator[Check]:
    """Compare the file with what the last run was planned with, and say whether that run met a rate limit."""
    from ometria_provider.dagdefaults import contact_sync_id
    from ometria_provider.ledger import run_steps, runs

    run = runs.last_planned(ledger, contact_sync_id(mapping.name))
    if run is None:
        return
    if changed := _changes(mapping, run):
        words = f"{changed} since run {run.id}: `ometria-sync mappings preview {mapping.name}` shows what it means."
        yield Check("warn", f"changes of {mapping.name}", words)
    steps = run_steps.steps(ledger, run.id)
    if count := sum(row.facts.get(name, 0) for row in steps for name in ("throttled", "data_throttled")):
        words = (
            f"run {run.id} was answered 429 {count} times: somebody else uses the key, or the account's limit is lower "
            "than the connection says. Lower its requests per minute or second."
        )
        yield Check("warn", f"rate limit of {mapping.name}", words)


def _changes(mapping: Mapping, run: Run) -> str | None:
    """Say how the file differs from what a run was planned with."""
    from ometria_provider.mapping.model import Mapping as Model

    try:
        planned = Model.model_validate_json(run.mapping_json or "").model_dump()
    except ValueError:
        return "the package has changed, and everybody is looked at anew"
    now = mapping.model_dump()
    names = sorted(name for name in now if now[name] != planned.get(name))
    return f"{', '.join(names)} changed" if names else None


def _orphans(ledger: Ledger, settings: Settings, mappings: Sequence[Mapping]) -> Iterator[Check]:
    """Warn about contacts that no mapping file looks after any more; files that are broken still count."""
    from ometria_provider.ledger.history import accounts_in_use, has_contacts

    owned = {(mapping.connections.ometria, mapping.collection) for mapping in mappings}
    names = set(mapping_names(settings.mappings_folder)) - {mapping.name for mapping in mappings}
    for (account, collection), name in accounts_in_use(ledger, mapped=True).items():
        if (account, collection) in owned or name in names:
            continue
        if has_contacts(ledger, account, collection):
            words = (
                f"no mapping file owns it any more (it was {name}): its contacts stay in Ometria and on their list as "
                "they are. Bring the file back to go on with them, or remove them in Ometria."
            )
            yield Check("warn", f"collection {collection} on {account}", words)
