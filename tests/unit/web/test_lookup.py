"""What may change while the API server runs."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ometria_provider.exceptions import Misconfigured
from ometria_provider.web import lookup
from ometria_provider.web.lookup import CurrentCredentials, WorkflowFolder, airflow_connection
from receiver import LOGIN, PASSWORD

_WORKFLOW = "trigger: {{event: {action}}}\nconnections: {{antavo: {antavo}}}\naction: {{event_type: claimed}}\n"


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(lookup.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def write(folder: Path, name: str, *, action: str = "reward", antavo: str = "antavo_default") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(_WORKFLOW.format(action=action, antavo=antavo))
    return path


def test_connection_is_looked_up_once_for_a_few_seconds_however_many_ask(clock):
    answers: list[Any] = [None, SimpleNamespace(login=LOGIN, password=PASSWORD, extra=None)]
    asked = []

    def get() -> Any:
        asked.append(1)
        return answers[min(len(asked), len(answers)) - 1]

    async def play() -> None:
        current = CurrentCredentials(get)
        assert await asyncio.gather(*(current.get() for _ in range(20))) == [None] * 20
        clock.now += lookup.FRESH_CONNECTION - 0.1
        assert await current.get() is None
        assert len(asked) == 1
        clock.now += 0.1
        assert await current.get() is not None
        assert len(asked) == 2

    asyncio.run(play())


def test_connection_that_cannot_be_used_says_so_each_time_and_is_asked_for_again(clock):
    asked = []

    def get() -> Any:
        asked.append(1)
        return SimpleNamespace(login=LOGIN, password=None, extra=None)

    async def play() -> None:
        current = CurrentCredentials(get)
        for _ in range(3):
            with pytest.raises(Misconfigured, match="password is missing"):
                await current.get()
        assert len(asked) == 1

    asyncio.run(play())


def test_connection_lookup_that_fails_fails_for_all_who_waited_for_it(clock):
    asked = []

    def get() -> Any:
        asked.append(1)
        raise RuntimeError("the backend is down")

    async def play() -> None:
        current = CurrentCredentials(get)
        answers = await asyncio.gather(*(current.get() for _ in range(20)), return_exceptions=True)
        assert all(isinstance(answer, RuntimeError) for answer in answers)
        assert len(asked) == 1, "they do not stand in a queue, each for a time-out of its own"

    asyncio.run(play())


def test_connection_lookup_that_fails_is_tried_again_at_once(clock):
    answers: list[Any] = [RuntimeError("the backend is down"), None]

    def get() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def play() -> None:
        current = CurrentCredentials(get)
        with pytest.raises(RuntimeError):
            await current.get()
        assert await current.get() is None

    asyncio.run(play())


def test_connection_warnings_are_logged_once_and_without_values(clock, caplog):
    current = CurrentCredentials(lambda: SimpleNamespace(login=None, password=None, extra='{"jwt_key": "feeble"}'))

    async def play() -> None:
        for _ in range(3):
            await current.get()
            clock.now += 100

    asyncio.run(play())
    assert [record.message.count("weak") for record in caplog.records] == [1]
    assert "feeble" not in caplog.text


def test_connection_of_airflow_is_read_from_its_environment(monkeypatch):
    assert airflow_connection() is None
    monkeypatch.setenv("AIRFLOW_CONN_ANTAVO_WEBHOOK", '{"conn_type": "http", "login": "a", "password": "b"}')
    found = airflow_connection()
    assert found
    assert (found.login, found.password) == ("a", "b")


def test_folder_names_workflows_by_connection_and_action(tmp_path, clock):
    write(tmp_path, "one")
    write(tmp_path, "two")
    write(tmp_path, "checkout", action="checkout")
    write(tmp_path, "other", antavo="antavo_other")
    folder = WorkflowFolder(tmp_path)
    assert sorted(folder.wanting("antavo_default", "reward")) == ["one", "two"]
    assert folder.wanting("antavo_other", "reward") == ("other",)
    assert folder.wanting("antavo_default", "profile") == ()
    assert folder.broken == []


def test_folder_notices_new_changed_and_removed_files(tmp_path, clock):
    folder, path = WorkflowFolder(tmp_path), write(tmp_path, "one")
    assert folder.wanting("antavo_default", "reward") == ("one",)
    write(tmp_path, "two")
    assert folder.wanting("antavo_default", "reward") == ("one",)
    clock.now += lookup.FRESH_FOLDER
    assert sorted(folder.wanting("antavo_default", "reward")) == ["one", "two"]
    write(tmp_path, "one", action="checkout")
    os.utime(path, ns=(1, 1))
    clock.now += lookup.FRESH_FOLDER
    assert folder.wanting("antavo_default", "reward") == ("two",)
    (tmp_path / "two.yaml").unlink()
    clock.now += lookup.FRESH_FOLDER
    assert folder.wanting("antavo_default", "reward") == ()


def test_folder_unchanged_is_not_read_again(tmp_path, clock, monkeypatch):
    write(tmp_path, "one")
    folder = WorkflowFolder(tmp_path)
    folder.wanting("antavo_default", "reward")
    monkeypatch.setattr(lookup, "load_folder", lambda _: pytest.fail("read again"))
    clock.now += 100
    assert folder.wanting("antavo_default", "reward") == ("one",)


def test_folder_broken_file_is_named_and_the_others_work(tmp_path, clock):
    write(tmp_path, "one")
    (tmp_path / "bad.yaml").write_text("trigger: {evnt: reward}\n")
    folder = WorkflowFolder(tmp_path)
    assert folder.wanting("antavo_default", "reward") == ("one",)
    assert folder.broken == ["bad.yaml"]


def test_folder_that_is_not_there_is_an_error(tmp_path, clock):
    with pytest.raises(Misconfigured, match="does not exist"):
        WorkflowFolder(tmp_path / "none").wanting("antavo_default", "reward")
