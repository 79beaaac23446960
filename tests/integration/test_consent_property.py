"""Opt-out is monotone: no sequence of runs, facts and interruptions opts a member in again without a newer time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ometria_provider.hooks.ometria import OmetriaHook
from sync import FIELDS, Sync
from work import Outcome

IN, OUT = "EXPLICITLY_OPTEDIN", "EXPLICITLY_OPTEDOUT"
MAPPING: dict[str, Any] = {
    "departed": "ignore",
    "fields": [
        *FIELDS,
        {"loyalty": "birth_date", "remote": "date_of_birth"},
        {"loyalty": "properties.newsletter", "remote": "marketing_optin"},
        {"loyalty": "properties.newsletter_at", "remote": "timestamp_subscribed"},
    ],
}
NUMBERS = count()


@dataclass
class World:
    """One member, and all that was said about their consent, in its order.

    :param words: each opt-out or opt-in that went over the wire, or unsubscribe, with its moment (of an opt-in: the
        consent time that went with it).
    """

    sync: Sync
    words: list[tuple[str, datetime | None]] = field(default_factory=list)
    member: str = ""
    consent: Any = None
    halfway: Outcome | None = None

    def __post_init__(self) -> None:
        self.sync.mend()
        self.sync.nobody()
        self.number = next(NUMBERS)
        self.member = self.sync.member(email=f"member{self.number}@example.com")

    def hear(self, record: dict[str, Any]) -> None:
        if record["id"] == self.member and (word := record.get("marketing_optin")):
            at = record.get("timestamp_subscribed")
            told = datetime.fromisoformat(at) if at else None
            self.words.append((word, datetime.now(UTC) if word == OUT else told))

    def says(self, consent: Any, at: str | None) -> None:
        self.consent = consent
        times = {None: None, "old": "2020-01-01T00:00:00Z", "now": datetime.now(UTC).isoformat()}
        self.sync.change(self.member, **{"properties.newsletter": consent, "properties.newsletter_at": times[at]})

    def birthday(self, value: str) -> None:
        self.sync.change(self.member, birth_date=value)

    def unsubscribes(self) -> None:
        self.words.append((OUT, datetime.now(UTC)))
        self.sync.sandbox.control("unsubscribes", {"email": f"member{self.number}@example.com"})

    def runs(self) -> None:
        self.sync.run()
        if self.consent is False:
            assert self.sync.contact(self.member)["marketing_optin"] == OUT, "an opt-out was held back"

    def runs_in_vain(self, fault: str) -> None:
        self.sync.fault(fault, api="ometria", path="/v2/push")
        self.sync.run()
        self.sync.mend()

    def stops_before_push(self) -> None:
        self.halfway = self.sync.run_until_push()

    def clears_push(self) -> None:
        if self.halfway is not None:
            self.sync.clear(self.halfway, "push", "reconcile")

    def check(self) -> None:
        out: datetime | None = None
        for word, at in self.words:
            if word == OUT:
                out = at
            else:
                assert out is None or (at is not None and at > out), self.words


Action = tuple[Callable[..., None], tuple[Any, ...]]
ACTIONS = st.one_of(
    st.tuples(
        st.just(World.says), st.tuples(st.sampled_from([True, False, None]), st.sampled_from([None, "old", "now"]))
    ),
    st.tuples(st.just(World.birthday), st.tuples(st.sampled_from(["1980-01-31", "0000-00-00"]))),
    st.tuples(st.just(World.unsubscribes), st.just(())),
    st.tuples(st.just(World.runs), st.just(())),
    st.tuples(st.just(World.runs_in_vain), st.tuples(st.sampled_from(["reset_before", "reset_after", "truncated"]))),
    st.tuples(st.just(World.stops_before_push), st.just(())),
    st.tuples(st.just(World.clears_push), st.just(())),
)
RUN: Action = (World.runs, ())


def said(consent: Any, at: str | None = None) -> Action:
    return (World.says, (consent, at))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ACTIONS, min_size=3, max_size=9))
@example([said(True), RUN, said(False), (World.runs_in_vain, ("reset_after",)), said(True), RUN])
@example([said(True), (World.stops_before_push, ()), said(False), RUN, (World.clears_push, ())])
@example([said(True), RUN, (World.birthday, ("0000-00-00",)), said(False), RUN, said(True, "old"), RUN])
@example(
    [said(None), RUN, said(True), (World.stops_before_push, ()), (World.unsubscribes, ()), (World.clears_push, ())]
)
def test_opt_out_is_monotone_whatever_happens(
    sync: Sync, monkeypatch: pytest.MonkeyPatch, actions: list[Action]
) -> None:
    sync.mapping(**MAPPING)
    world = World(sync)
    original = OmetriaHook.push

    def push(self: OmetriaHook, body: bytes) -> Any:
        for record in msgspec.json.decode(body):
            world.hear(record)
        return original(self, body)

    with monkeypatch.context() as patch:
        patch.setattr(OmetriaHook, "push", push)
        for act, arguments in actions:
            act(world, *arguments)
        world.runs()
    world.check()
