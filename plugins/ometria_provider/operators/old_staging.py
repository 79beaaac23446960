"""Remove the staging of old runs: it holds members' data, and serves only tasks that are cleared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ometria_provider.exceptions import Misconfigured
from ometria_provider.ledger import runs
from ometria_provider.ledger.engine import Ledger
from ometria_provider.settings import Settings
from ometria_provider.staging.store import RunStore, staged_mappings


def staging_keep(settings: Settings) -> timedelta:
    """Return how long a run's staging is kept.

    :raises Misconfigured: when the setting is no whole number of days.
    """
    text = settings.staging_keep
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 3650):
        raise Misconfigured(f"`[ometria] staging_keep` is {text!r}: write a whole number of days, 1 or more.")
    return timedelta(days=int(text))


def remove_of(ledger: Ledger, settings: Settings, mapping: str, *others: int) -> int:
    """Remove the staging of a mapping's runs that began before `staging_keep`, and return of how many.

    :param others: runs that are kept, whenever they began; those that have not ended are.
    """
    since = datetime.now(UTC) - staging_keep(settings)
    keep = {RunStore.name(run) for run in (*runs.open_or_started_since(ledger, mapping, since), *others)}
    return RunStore(settings.staging_path, mapping, 0).remove_older(keep)


def remove_all(ledger: Ledger, settings: Settings) -> int:
    """Remove the old staging of every mapping, of those without a file too, and return of how many runs."""
    return sum(remove_of(ledger, settings, mapping) for mapping in staged_mappings(settings.staging_path))
