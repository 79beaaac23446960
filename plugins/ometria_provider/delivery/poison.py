"""Tell poisoned records from a fault that lies elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from ometria_provider.delivery.batches import Outgoing
from ometria_provider.exceptions import Halted

#: So many records refused one by one, before any was acknowledged, are no coincidence (design.md).
SUSPICIOUS = 20


@dataclass
class PoisonWatch:
    """Holds back the first verdicts until one record got through.

    While nothing at all was acknowledged, a refusal may be everybody's: a renamed endpoint, a wrong type for all.
    Then the records are innocent, nothing is remembered against them, and the push stops.
    """

    acknowledged: bool = False
    _held: list[tuple[Outgoing, str]] = field(default_factory=list)

    def refuse(self, record: Outgoing, reason: str) -> list[tuple[Outgoing, str]]:
        """Note a record that was refused alone; return the verdicts that are certain by now.

        :raises Halted: when the first 20 records alone were all refused.
        """
        self._held.append((record, reason))
        if self.acknowledged:
            return self.verdicts()
        if len(self._held) >= SUSPICIOUS:
            raise Halted(
                f"Ometria refused the first {SUSPICIOUS} records one by one, and accepted none ({reason}). The fault "
                "is not in the records: nothing was recorded against them. Compare the mapping's mode, list and fields "
                "with the account's settings (`ometria-sync doctor`), then clear the push."
            )
        return []

    def verdicts(self) -> list[tuple[Outgoing, str]]:
        """Return and forget the refusals held back."""
        held, self._held = self._held, []
        return held
