"""What became of the events that a campaign run took up, and what of it a person must know."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ometria_provider.exceptions import Fatal, SyncError


@dataclass
class Tally:
    """The counts of one run.

    :param states: deliveries by the state that they came to; `waiting` for those that go another time.
    :param reasons: the same by state and reason.
    :param doubtful: records that Ometria counted as rejected in answers to requests that it acknowledged.
    :param contacts: how many contacts were pushed first.
    :param late: errors that Ometria's log gained since the last look and that may be an event's: message and path.
    :param faults: what went wrong on the way; the events concerned wait.
    """

    states: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    doubtful: int = 0
    contacts: int = 0
    late: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[SyncError] = field(default_factory=list)

    def note(self, state: str, reason: str | None) -> None:
        """Count one delivery."""
        self.states[state] += 1
        if reason:
            self.reasons[state, reason] += 1

    def blame(self, fault: SyncError) -> None:
        """Note what went wrong; the same fault counts once, however many events it concerns."""
        if all(fault is not known and str(fault) != str(known) for known in self.faults):
            self.faults.append(fault)

    @property
    def fault(self) -> SyncError | None:
        """Return the gravest fault: one that a person must mend comes before one that may pass by itself."""
        fatal = next((fault for fault in self.faults if isinstance(fault, Fatal)), None)
        return fatal or next(iter(self.faults), None)

    @property
    def complaint(self) -> str | None:
        """Return why a run without a fault is red: all that it had was rejected, or Ometria counted some of it so."""
        rejected, sent = self.states["rejected"], self.states["acknowledged"]
        if rejected and not sent:
            (_, reason), _ = next(item for item in self.reasons.most_common() if item[0][0] == "rejected")
            return (
                f"Nothing arrived: every one of the {rejected:,} events that were to be mailed was rejected ({reason})."
            )
        if self.doubtful:
            return (
                f"Ometria acknowledged {sent:,} events and counted {self.doubtful:,} of them as rejected, without "
                "saying which. They are not sent again: look for the reason in Ometria, or in its error log."
            )
        return None


def in_doubt(rejected: int, records: int) -> str | None:
    """Return what is to be known of each event of an acknowledged request; None: nothing.

    Events cannot be read back (contract/ometria.md, "Custom event"), so that all of them stay in doubt.

    :param rejected: records that the answer counts as rejected.
    :param records: how many the request held.
    """
    if not rejected:
        return None
    return f"Ometria counted {rejected:,} of the {records:,} records of its request as rejected, without saying which"
