"""Send custom events in batches, with the ledger as the checkpoint."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

from ometria_provider.delivery.batches import body
from ometria_provider.delivery.campaign import Tally, in_doubt
from ometria_provider.delivery.poison import PoisonWatch
from ometria_provider.exceptions import RecordRejected, SyncError
from ometria_provider.hooks.ometria_answers import PushAnswer
from ometria_provider.ledger import deliveries
from ometria_provider.ledger.deliveries import ACKNOWLEDGED, REJECTED, SKIPPED, WAITING, Departing, Settled
from ometria_provider.ledger.engine import Ledger
from ometria_provider.operators.couriers import Couriers
from ometria_provider.operators.dispatcher import Answered, Dispatcher

ADVICE = (
    "Compare the workflow's event_type and payload with what Ometria set up; the events wait, and the next run sends "
    "them."
)


class Look(NamedTuple):
    """A look at what the ledger knows of somebody who is to be mailed, as often as one likes.

    :param ask: returns what speaks against it, of many people by delivery.
    """

    ask: Callable[[Mapping[int, Any]], Mapping[int, str]]
    whom: Any


class OutgoingEvent(NamedTuple):
    """A custom event on its way.

    :param delivery: its number in the ledger.
    :param looks: what must not speak against it when it goes; none for transactional mail.
    """

    delivery: int
    custom_event_id: str
    body: bytes
    looks: tuple[Look, ...] = ()


Events = tuple[OutgoingEvent, ...]


@dataclass
class EventSender(Dispatcher[OutgoingEvent]):
    """Sends custom events: `sending` in the ledger before their request goes, `acknowledged` with its answer.

    Whoever goes on after a crash finds those that were on their way, and sends them under the same id. What Ometria
    acknowledged never goes again: whether a repeated id starts a campaign twice is unknown (contract/ometria.md,
    "Custom event").
    """

    ledger: Ledger
    run_id: str
    tally: Tally
    _numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.watch = PoisonWatch(advice=ADVICE)

    def send(self, source: Iterator[Events]) -> None:
        """Send batches until each event is acknowledged or rejected; what is left over waits.

        :raises Retryable: when Ometria stays out of reach.
        :raises Misconfigured: when the key is refused.
        :raises Halted: when every event is refused alone, so that the fault is not in the events.
        """
        try:
            self.dispatch(self._undone(source))
        except BaseException as error:
            left = [*(event for event, _ in self.watch.verdicts()), *(event for half in self._split for event in half)]
            self._settle([Settled(event.delivery, WAITING, _words(error)) for event in left])
            raise
        self._settle([_refusal(*each) for each in self.watch.verdicts()])

    def _undone(self, source: Iterator[Events]) -> Iterator[Events]:
        """Leave out what changed since it was made ready, seconds ago.

        A run that was given up for dead may have gone on and delivered it; the member may have opted out.
        """
        for batch in source:
            left = deliveries.undone(self.ledger, [event.delivery for event in batch])
            going = tuple(event for event in batch if event.delivery in left)
            against = objections({event.delivery: event.looks for event in going})
            self._settle([Settled(delivery, SKIPPED, reason) for delivery, reason in against.items()])
            if going := tuple(event for event in going if event.delivery not in against):
                yield going

    def answers(self, in_flight: dict[int, Events], couriers: Couriers) -> list[Answered[OutgoingEvent]]:
        """Wait for answers, and write them at once: the next batch may take a while to come."""
        self.write(super().answers(in_flight, couriers), [])
        return []

    def write(self, answered: Sequence[Answered[OutgoingEvent]], going: Sequence[Events]) -> list[tuple[int, bytes]]:
        """Write answers and departures in one transaction."""
        refused, halt = self.judge(answered)
        going = [] if halt else going
        settled = [_refusal(*each) for each in refused]
        for _, batch, outcome in answered:
            if isinstance(outcome, PushAnswer):
                self.tally.doubtful += min(outcome.rejected, len(batch))
                doubt = in_doubt(outcome.rejected, len(batch))
                settled += [Settled(event.delivery, ACKNOWLEDGED, doubt) for event in batch]
            elif not isinstance(outcome, RecordRejected):
                settled += [Settled(event.delivery, WAITING, _words(outcome)) for event in batch]
        departing = [Departing(event.delivery, event.custom_event_id) for batch in going for event in batch]
        self._settle(settled, departing)
        if halt:
            raise halt
        return [(next(self._numbers), body(batch)) for batch in going]

    def _settle(self, settled: Sequence[Settled], departing: Sequence[Departing] = ()) -> None:
        deliveries.write(self.ledger, self.run_id, settled=settled, departing=departing)
        for one in settled:
            self.tally.note(one.state, one.reason)


def objections(looks: Mapping[int, Iterable[Look]]) -> dict[int, str]:
    """Return what speaks against mailing people, as the ledger has it now: the first reason of each, by delivery."""
    groups: defaultdict[Callable[..., Mapping[int, str]], dict[int, Any]] = defaultdict(dict)
    for delivery, own in looks.items():
        for look in own:
            groups[look.ask][delivery] = look.whom
    found: dict[int, str] = {}
    for ask, people in groups.items():
        found = {**ask(people), **found}
    return found


def _refusal(event: OutgoingEvent, why: str) -> Settled:
    return Settled(event.delivery, REJECTED, f"Ometria refused it: {why}")


def _words(error: BaseException) -> str:
    """Return why events wait: our own words hold no member's data, a stranger's may."""
    return str(error) if isinstance(error, SyncError) else f"The run was interrupted ({type(error).__name__})."
