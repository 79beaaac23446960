"""Many requests, few transactions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from ometria_provider.exceptions import Retryable
from ometria_provider.web.intake import LARGEST, Intake


class Writer:
    def __init__(self) -> None:
        self.lists: list[list[Any]] = []
        self.threads: set[str] = set()
        self.lock = threading.Lock()

    def __call__(self, items: Sequence[Any]) -> list[Any]:
        assert self.lock.acquire(blocking=False), "two lists at once"
        try:
            self.threads.add(threading.current_thread().name)
            self.lists.append(list(items))
            for item in items:
                if isinstance(item, Exception):
                    raise item
            return [f"kept {item}" for item in items]
        finally:
            self.lock.release()


def put_all(intake: Intake[Any, Any], items: Sequence[Any]) -> list[Any]:
    async def play() -> list[Any]:
        return await asyncio.gather(*(intake.put(item) for item in items), return_exceptions=True)

    return asyncio.run(play())


def test_intake_what_comes_together_is_written_together_in_one_thread_of_its_own():
    write = Writer()
    assert put_all(Intake(write), list(range(200))) == [f"kept {n}" for n in range(200)]
    assert write.lists == [list(range(200))]
    assert threading.main_thread().name not in write.threads
    assert len(write.threads) == 1


def test_intake_list_has_an_upper_end():
    write = Writer()
    put_all(Intake(write), list(range(LARGEST + 1)))
    assert [len(each) for each in write.lists] == [LARGEST, 1]


def test_intake_one_bad_item_harms_no_other():
    write = Writer()
    bad = ValueError("bad")
    assert put_all(Intake(write), [1, bad, 2]) == ["kept 1", bad, "kept 2"]


def test_intake_fault_that_all_share_is_told_to_all_at_once():
    write = Writer()
    locked = Retryable("locked")
    assert put_all(Intake(write, shared_faults=(Retryable,)), [1, locked, 2]) == [locked] * 3
    assert len(write.lists) == 1


def test_intake_goes_on_after_a_fault_and_after_somebody_gave_up():
    write = Writer()
    intake: Intake[Any, Any] = Intake(write)

    async def play() -> Any:
        with pytest.raises(ValueError, match="bad"):
            await intake.put(ValueError("bad"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await intake.put("given up")
        return await intake.put("next")

    assert asyncio.run(play()) == "kept next"
    assert ["given up", "next"] in write.lists or ["given up"] in write.lists
