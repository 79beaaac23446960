"""Count members by reason in what a step keeps of its work."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class ByReason:
    """Counts members by reason, with a few of their ids: where each of them stands is in `contact_state`.

    :param most: ids kept for each reason.
    """

    most: int = 3
    counts: Counter[str] = field(default_factory=Counter)
    first_ids: dict[str, list[str]] = field(default_factory=dict)

    def note(self, contact_id: str, reason: str | None) -> None:
        """Count one member; None: there is no reason to."""
        if reason is None:
            return
        self.counts[reason] += 1
        if len(shown := self.first_ids.setdefault(reason, [])) < self.most:
            shown.append(contact_id)

    def facts(self) -> dict[str, Any]:
        """Return the counts as the ledger keeps them: members and first ids by reason."""
        return {
            reason: {"members": count, "first_ids": self.first_ids[reason]} for reason, count in self.counts.items()
        }
