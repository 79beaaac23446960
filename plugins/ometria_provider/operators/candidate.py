"""Events on their way from waiting to sent, and the ends of those that are not sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ometria_provider.delivery.campaign import Tally
from ometria_provider.exceptions import SyncError
from ometria_provider.ledger import deliveries
from ometria_provider.ledger.deliveries import WAITING, Settled, Waiting
from ometria_provider.ledger.engine import Ledger
from ometria_provider.operators.event_sender import Look, OutgoingEvent
from ometria_provider.workflows.events import Event
from ometria_provider.workflows.model import Workflow
from ometria_provider.workflows.records import CustomEvent, Recipe

#: Added to why an event is not mailed whose request went before: perhaps only the answer was lost.
SENT_BEFORE = "it was sent before, and may have arrived"


@dataclass
class Candidate:
    """An event that may start a campaign.

    :param made: the custom event, once it is made.
    :param looks: what spoke in favour of its member when it was made ready, to be looked at again when it goes.
    """

    row: Waiting
    recipe: Recipe
    event: Event
    customer: dict[str, Any] = field(default_factory=dict)
    made: CustomEvent | None = None
    looks: list[Look] = field(default_factory=list)

    @property
    def workflow(self) -> Workflow:
        """The workflow that wants to deliver it."""
        return self.recipe.workflow

    @property
    def customer_id(self) -> str:
        """Antavo's id of the customer; events without one are refused before."""
        return self.event.customer_id or ""

    @property
    def is_marketing(self) -> bool:
        """Say whether opting out keeps it back."""
        return not self.workflow.transactional

    def outgoing(self) -> OutgoingEvent | None:
        """Return it as it is sent; None: no custom event was made."""
        return OutgoingEvent(self.row.id, self.made.id, self.made.body, tuple(self.looks)) if self.made else None


@dataclass
class Ends:
    """What becomes of events that are not sent now; written a page at a time."""

    ledger: Ledger
    run_id: str
    tally: Tally
    _noted: list[Settled] = field(default_factory=list)

    def end(self, one: Candidate | Waiting, state: str, reason: str) -> None:
        """Note that an event is done, and why it is not mailed."""
        row = one.row if isinstance(one, Candidate) else one
        if row.attempts and state != WAITING:
            reason = f"{reason}; {SENT_BEFORE}"
        self._noted.append(Settled(row.id, state, reason))

    def wait(self, one: Candidate | Waiting, fault: SyncError) -> None:
        """Leave an event for the next run."""
        self.tally.blame(fault)
        self.end(one, WAITING, str(fault))

    def write(self) -> None:
        """Write down what was noted, and count it."""
        deliveries.write(self.ledger, self.run_id, settled=self._noted)
        for one in self._noted:
            self.tally.note(one.state, one.reason)
        self._noted = []
