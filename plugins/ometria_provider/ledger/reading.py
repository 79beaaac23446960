"""Open the ledger to ask it: an empty one is not made where there is none."""

from __future__ import annotations

from pathlib import Path

from ometria_provider.exceptions import Misconfigured
from ometria_provider.ledger.engine import Ledger, open_ledger

_NO_LEDGER = (
    "There is no ledger at {} yet: the first run makes one, or `ometria-sync ledger upgrade`. "
    "Is AIRFLOW_HOME the one that your runs have?"
)


class NoLedger(Misconfigured):
    """Nothing ran here yet: there is nothing to ask."""


def open_for_reading(url: str) -> Ledger:
    """Return the ledger at a SQLAlchemy URL.

    :raises NoLedger: when there is none yet.
    :raises Misconfigured: when it is of another version.
    :raises Retryable: when it does not answer.
    """
    ledger = open_ledger(url)
    file = ledger.engine.url.database
    if ledger.dialect == "sqlite" and file and file != ":memory:" and not Path(file).exists():
        raise NoLedger(_NO_LEDGER.format(ledger))
    if ledger.version() is None:
        raise NoLedger(_NO_LEDGER.format(ledger))
    ledger.check_version()
    return ledger
