"""Put what webhooks bring into the ledger's inbox, many in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ometria_provider.exceptions import Retryable
from ometria_provider.ledger import inbox, refusals, tokens
from ometria_provider.ledger.engine import Ledger, open_ledger
from ometria_provider.ledger.inbox import Collected
from ometria_provider.settings import read_settings
from ometria_provider.web.credentials import Denied, Token
from ometria_provider.web.lookup import WorkflowFolder
from ometria_provider.workflows.events import Event


@dataclass(frozen=True)
class Arrival:
    """An event whose sender is known.

    :param account: Antavo connection id.
    :param token: when it is good for one event only.
    :param denied: why the event is not taken, when its sender is known all the same.
    """

    account: str
    event: Event
    token: Token | None
    denied: Denied | None = None


@dataclass(frozen=True)
class Kept:
    """What became of an arrival.

    :param workflows: names of those that its event triggers; none: it was not kept.
    :param new: whether the inbox had no such event yet.
    """

    workflows: tuple[str, ...] = ()
    new: bool = False


#: What is answered for one arrival; an exception says why it was not taken.
Outcome = Kept | Denied | Retryable


class Keeper:
    """Writes arrivals into the inbox of this deployment's ledger. Works in one thread."""

    @cached_property
    def _folder(self) -> WorkflowFolder:
        return WorkflowFolder(read_settings().workflows_folder)

    @cached_property
    def _ledger(self) -> Ledger:
        ledger = open_ledger(read_settings().ledger_url)
        ledger.ready()
        return ledger

    def keep(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Keep arrivals and say what became of each, in their order.

        :raises Retryable: when the ledger is locked or cannot be reached: none of them is kept for sure.
        :raises Misconfigured: when a person must mend ledger or folder.
        """
        outcomes: dict[int, Outcome] = {}
        wanted: dict[str, list[tuple[int, Arrival, tuple[str, ...]]]] = defaultdict(list)
        for place, arrival in enumerate(arrivals):
            if arrival.denied:
                outcomes[place] = arrival.denied
            elif names := self._folder.wanting(arrival.account, arrival.event.action):
                wanted[arrival.account].append((place, arrival, names))
            elif self._folder.broken:
                outcomes[place] = Retryable("A workflow file cannot be read, and this event may be what it is about.")
            else:
                outcomes[place] = Kept()
        for account, group in wanted.items():
            outcomes.update(self._put(account, group))
        if denied := [(arrivals[place], end) for place, end in outcomes.items() if isinstance(end, Denied)]:
            refusals.note(self._ledger, [(one.account, one.event.id, str(why)) for one, why in denied])
        return [outcomes[place] for place in range(len(arrivals))]

    def _put(self, account: str, group: Sequence[tuple[int, Arrival, tuple[str, ...]]]) -> dict[int, Outcome]:
        # Before the events: after a crash in between, a token is good for the event that it came with and no other.
        spent = [(each.token.digest, each.event.id, each.token.expires) for _, each, _ in group if each.token]
        refused = tokens.spend(self._ledger, spent) if spent else set()
        outcomes: dict[int, Outcome] = {}
        taken = []
        for place, arrival, names in group:
            if arrival.token and (arrival.token.digest, arrival.event.id) in refused:
                outcomes[place] = Denied("the token was used for another event already")
            else:
                taken.append((place, arrival.event, names))
        new = inbox.put(self._ledger, account, [Collected.of(event, names) for _, event, names in taken], inbox.WEBHOOK)
        return outcomes | {place: Kept(names, new=is_new) for (place, _, names), is_new in zip(taken, new, strict=True)}
