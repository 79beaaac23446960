"""What the commands that ask the ledger share: how it is opened, and how one names what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ometria_provider.ledger.engine import Ledger

RunReference = Annotated[str, typer.Argument(metavar="RUN", help="A number of `history`, or MAPPING:latest.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")]


def open_for_reading() -> Ledger:
    """Return the ledger of this process's settings, as `ledger.reading.open_for_reading` does."""
    from ometria_provider.ledger import reading
    from ometria_provider.settings import read_settings

    return reading.open_for_reading(read_settings().ledger_url)
