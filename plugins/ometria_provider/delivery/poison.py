"""Tell poisoned records from a fault that lies elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic

from ometria_provider.delivery.batches import Record
from ometria_provider.exceptions import Halted

#: So many records refused one by one, before any was acknowledged, are no coincidence (design.md).
SUSPICIOUS = 20

#: What to do about a push of contacts that goes nowhere.
ADVICE = (
    "Compare the mapping's mode, list and fields with the account's settings (`ometria-sync doctor`), then clear the "
    "push."
)


@dataclass
class PoisonWatch(Generic[Record]):
    """Holds back the first verdicts until one record got through.

    While nothing at all was acknowledged, a refusal may be everybody's: a renamed endpoint, a wrong type for all.
    Then the records are innocent, nothing is remembered against them, and the push stops.

    :param advice: the next step of whoever reads that it stopped.
    """

    acknowledged: bool = False
    advice: str = ADVICE
    _held: list[tuple[Record, str]] = field(default_factory=list)

    def refuse(self, record: Record, reason: str) -> list[tuple[Record, str]]:
        """Note a record that was refused alone; return the verdicts that are certain by now.

        :raises Halted: when the first 20 records alone were all refused.
        """
        self._held.append((record, reason))
        if self.acknowledged:
            return self.verdicts()
        if len(self._held) >= SUSPICIOUS:
            raise Halted(
                f"Ometria refused the first {SUSPICIOUS} records one by one, and accepted none ({reason}). The fault "
                f"is not in the records: nothing was recorded against them. {self.advice}"
            )
        return []

    def verdicts(self) -> list[tuple[Record, str]]:
        """Return and forget the refusals held back."""
        held, self._held = self._held, []
        return held
