"""The ledger as the pages read it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from pydantic import Field

from ometria_provider.ledger import installations, reading
from ometria_provider.ledger.engine import Ledger
from ometria_provider.settings import read_settings


def open_ledger() -> Ledger:
    """Return this deployment's ledger, for reading."""
    ledger = reading.open_for_reading(read_settings().ledger_url)
    installations.note(ledger, "api-server")
    return ledger


#: The ledger, as what a route takes.
OpenLedger = Annotated[Ledger, Depends(open_ledger)]

#: A number as the ledger can have it.
Number = Annotated[int, Field(ge=0, lt=2**63)]
