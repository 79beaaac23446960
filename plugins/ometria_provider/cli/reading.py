"""What the commands that ask the ledger share: how it is opened, and how one names what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ometria_provider.exceptions import Misconfigured

if TYPE_CHECKING:
    from ometria_provider.ledger.engine import Ledger

RunReference = Annotated[str, typer.Argument(metavar="RUN", help="A number of `history`, or MAPPING:latest.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")]

_NO_LEDGER = (
    "There is no ledger at {} yet: the first run makes one, or `ometria-sync ledger upgrade`. "
    "Is AIRFLOW_HOME the one that your runs have?"
)


class NoLedger(Misconfigured):
    """Nothing ran here yet: there is nothing to ask."""


def open_for_reading() -> Ledger:
    """Return the ledger, without making an empty one where there is none.

    :raises NoLedger: when there is none yet.
    :raises Misconfigured: when it is of another version.
    :raises Retryable: when it does not answer.
    """
    from ometria_provider.ledger.engine import open_ledger
    from ometria_provider.settings import read_settings

    ledger = open_ledger(read_settings().ledger_url)
    file = ledger.engine.url.database
    if ledger.dialect == "sqlite" and file and file != ":memory:" and not Path(file).exists():
        raise NoLedger(_NO_LEDGER.format(ledger))
    if ledger.version() is None:
        raise NoLedger(_NO_LEDGER.format(ledger))
    ledger.check_version()
    return ledger
