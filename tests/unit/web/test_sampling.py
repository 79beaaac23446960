"""Members of previews: whose they are, and how long they stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from ometria_provider.hooks.antavo import AntavoHook
from ometria_provider.web.sampling import KEPT, MOST, Sample, Samples


class Hook:
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def details(self, id: str, fields: Sequence[str]) -> dict[str, Any] | None:
        self.asked.append((id, tuple(fields)))
        return None if id == "gone" else {"id": id}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def sample() -> Sample:
    return Sample(cast(AntavoHook, Hook()), [{"_id": "1"}])


@pytest.fixture(autouse=True)
def _no_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Samples, "_drop_later", lambda self: None)


def test_sample_is_the_users_own_and_of_one_account() -> None:
    samples = Samples(Clock())
    first = samples.get("ann", "antavo_default", sample)
    assert samples.get("ann", "antavo_default", sample) is first
    assert samples.get("bob", "antavo_default", sample) is not first
    assert samples.get("ann", "antavo_other", sample) is not first


def test_sample_is_gone_after_its_time() -> None:
    clock = Clock()
    samples = Samples(clock)
    first = samples.get("ann", "antavo_default", sample)
    clock.now = KEPT - 1
    assert samples.drop_old() == 1
    clock.now = KEPT
    assert samples.drop_old() == 0
    assert samples.get("ann", "antavo_default", sample) is not first


def test_samples_are_few_and_those_last_looked_at_stay() -> None:
    samples = Samples(Clock())
    first = samples.get("ann", "0", sample)
    for number in range(1, MOST):
        samples.get("ann", str(number), sample)
    assert samples.get("ann", "0", sample) is first
    samples.get("bob", "0", sample)
    assert samples.drop_old() == MOST
    assert samples.get("ann", "0", sample) is first


def test_details_are_asked_once_for_each_set_of_fields_also_of_who_is_gone() -> None:
    hook = Hook()
    found = Sample(cast(AntavoHook, hook), [])
    for _ in range(2):
        assert found.details("1", ["expiring_points"]) == {"id": "1"}
        assert found.details("gone", ["expiring_points"]) is None
    found.details("1", ["expiring_points", "expiring_points.history"])
    assert [id for id, _ in hook.asked] == ["1", "gone", "1"]
