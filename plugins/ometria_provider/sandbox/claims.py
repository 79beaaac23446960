"""Members claim rewards: now, at times past, or one after the other while somebody watches.

A claim is an event with the action ``reward`` that names its reward in the property ``reward``, unless other names are
asked for (contract/antavo.md marks both as assumed). Its properties come in both of the documented shapes, and its
customer under both names: which, depends on the customer.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable
from typing import Any

from ometria_provider.sandbox.directory import Directory
from ometria_provider.sandbox.events import Event, Events, iso_milliseconds
from ometria_provider.sandbox.rewards import Rewards

ACTION = "reward"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """Which members claim which rewards.

    :param count: how many claims.
    :param customers: ids of who claims, by turns; none: members drawn at random, each once as far as they go.
    :param rewards: ids of what is claimed, by turns; none: any that are there.
    :param within: their times are spread over the last so many seconds; 0: now.
    :param every: seconds from one claim to the next; None: all at once.
    :param action: what the event is called.
    :param named_in: the property that names the reward.
    :param seed: of the draw.
    """

    count: int = 1
    customers: tuple[str, ...] = ()
    rewards: tuple[str, ...] = ()
    within: float = 0
    every: float | None = None
    action: str = ACTION
    named_in: str = "reward"
    seed: int | None = None

    @classmethod
    def make(cls, content: dict[str, Any]) -> Claim:
        """Return what somebody asked for; ``customer`` and ``reward`` name one.

        :raises ValueError: there is no such setting, or nothing to claim.
        """
        many = {f"{name}s": [content[name]] for name in ("customer", "reward") if name in content}
        settings = {k: v for k, v in content.items() if k not in ("customer", "reward")} | many
        if unknown := settings.keys() - {field.name for field in dataclasses.fields(cls)}:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        listed = {name: tuple(map(str, settings.get(name, ()))) for name in ("customers", "rewards")}
        return cls(**settings | listed)


class Claims:
    """The members who claim.

    :param later: runs something after so many seconds.
    """

    def __init__(self, directory: Directory, rewards: Rewards, events: Events, later: Callable[..., Any]) -> None:
        self._directory, self._rewards, self._events, self._later = directory, rewards, events, later
        self.to_come = 0
        self._round = 0

    def make(self, claim: Claim) -> list[str]:
        """Carry claims out, or begin to when they come one after the other; return the ids of the events so far."""
        made = self._prepare(claim)
        if claim.every is None:
            return [self._record(claim, *each) for each in made]
        self.to_come += len(made)
        begun_in = self._round
        self._later(claim.every, lambda: self._next(claim, made, begun_in))
        return []

    def stop(self) -> None:
        """Let nobody claim any more."""
        self.to_come = 0
        self._round += 1

    def _next(self, claim: Claim, made: list[tuple[str, str, float]], begun_in: int) -> None:
        if begun_in != self._round or not made:
            return
        self._record(claim, *made.pop(0))
        self.to_come -= 1
        if made:
            self._later(claim.every, lambda: self._next(claim, made, begun_in))

    def _prepare(self, claim: Claim) -> list[tuple[str, str, float]]:
        """Return customer, reward and age in seconds of each claim."""
        drawn = None if claim.seed is None else f"{claim.seed} claims"
        customers = claim.customers or tuple(self._directory.some(claim.count, drawn))
        rewards = claim.rewards or tuple(self._rewards.ids())
        if claim.count and not (customers and rewards):
            raise ValueError("there is nobody to claim, or nothing")
        chance = random.Random(drawn)  # noqa: S311 (test data)
        chosen = claim.rewards or tuple(chance.choices(rewards, k=claim.count)) if rewards else ()
        return [
            (customers[n % len(customers)], chosen[n % len(chosen)], claim.within * (1 - n / claim.count))
            for n in range(claim.count)
        ]

    def _record(self, claim: Claim, customer_id: str, reward_id: str, age: float) -> str:
        reward = self._rewards.get(reward_id)
        event: Event = {
            "label": "Claiming a reward",
            "points": reward["price"] if reward else 0,
            "timestamp": iso_milliseconds(time.time() - age),
        }
        values = {claim.named_in: reward_id, "channel": "app" if sum(customer_id.encode()) % 3 else "shop"}
        if sum(customer_id.encode()) % 2:
            event |= {"properties": values, "customer": {"id": customer_id}}
        else:
            event["properties"] = [{"name": k, "label": k.capitalize(), "value": v} for k, v in values.items()]
        return self._events.record(claim.action, customer_id, event)
