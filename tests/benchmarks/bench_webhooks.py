"""The webhook receiver in the real API server: 200 a second, killed in the middle, nothing lost that was answered 2xx.

The sender tries again as Antavo does: an answer other than 2xx, or none, is followed by up to five more tries.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.benchmarks.figures import Row
from tests.benchmarks.world import CHECKOUT

RATE, SECONDS = 200, 60
TRIES, APART = 6, 10.0
_LOGIN, _PASSWORD = "antavo", "a password of this benchmark"


@dataclass
class Sent:
    """What became of the webhooks.

    :param kept: ids that were answered 2xx.
    :param latencies: seconds until a first try was answered 2xx.
    """

    kept: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)


def measure(*, quick: bool = False) -> list[Row]:
    """Return what a minute of webhooks with a kill -9 in its middle left behind."""
    seconds, apart = (10, 3.0) if quick else (SECONDS, APART)
    with tempfile.TemporaryDirectory(prefix="ometria-bench-") as name:
        server = Server(Path(name))
        with server.running():
            asyncio.run(send(server.url, "first", 1, apart))
            calm = asyncio.run(send(server.url, "calm", seconds, apart))
            sent = asyncio.run(send(server.url, "storm", seconds, apart, half_way=server.kill_and_start))
        there = server.inbox()
    lost = (calm.kept | sent.kept) - set(there)
    total = RATE * seconds
    ordered = sorted(calm.latencies)
    p95 = ordered[int(0.95 * len(ordered))] if ordered else float("inf")
    return [
        Row(
            f"Webhooks, {RATE}/s for {seconds} s: answered 200 at the first try",
            f"{len(calm.latencies):,} of {total:,}",
            target="all",
            met=len(calm.latencies) == total,
        ),
        Row("… until answered, p95", f"{p95 * 1000:.0f} ms"),
        Row(
            "… again, with kill -9 of the API server in the middle: answered 2xx and lost",
            str(len(lost)),
            target="0",
            met=not lost,
        ),
        Row("… kept after all tries", f"{len(sent.kept):,} of {total:,}", target="all", met=len(sent.kept) == total),
        Row("… kept twice", str(len(there) - len(set(there))), target="0", met=len(there) == len(set(there))),
        Row("… answers", ", ".join(f"{answer}: {count:,}" for answer, count in sorted(sent.answers.items()))),
    ]


class Server:
    """Airflow's API server in a home of its own."""

    def __init__(self, folder: Path) -> None:
        sys.path.insert(0, str(CHECKOUT / "scripts"))
        from launcher.environment import free_port

        self._folder, self._port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None
        connection = {"conn_type": "http", "login": _LOGIN, "password": _PASSWORD}
        workflows = folder / "workflows"
        workflows.mkdir()
        shutil.copy(CHECKOUT / "include" / "workflows" / "reward_claimed.yaml", workflows)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self._port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN": f"sqlite:///{folder / 'ledger.db'}",
            "AIRFLOW__OMETRIA__WORKFLOWS_FOLDER": str(workflows),
            "AIRFLOW_CONN_ANTAVO_WEBHOOK": json.dumps(connection),
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/ometria/webhooks/antavo"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        self._airflow("db", "migrate").wait()
        try:
            self._start()
            asyncio.run(self.wait())
            yield
        finally:
            self.kill()

    async def kill_and_start(self) -> None:
        self.kill()
        self._start()

    def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    async def wait(self) -> None:
        """Return when the receiver answers."""
        deadline = time.monotonic() + 120
        async with aiohttp.ClientSession() as session:
            while time.monotonic() < deadline:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.post(self.url) as answer:
                        if answer.status == 401:
                            return
                await asyncio.sleep(0.2)
        raise RuntimeError((self._folder / "log").read_text(errors="replace")[-3000:])

    def inbox(self) -> list[str]:
        with contextlib.closing(sqlite3.connect(self._folder / "ledger.db")) as ledger:
            return [row[0] for row in ledger.execute("SELECT event_id FROM event_inbox")]

    def _start(self) -> None:
        self._process = self._airflow("api-server")

    def _airflow(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "airflow", *arguments],
                env=self._environment,
                cwd=CHECKOUT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


async def send(url: str, name: str, seconds: int, apart: float, half_way: object = None) -> Sent:
    """Post so many webhooks a second, whatever becomes of the earlier ones, and try again as Antavo does."""
    sent, tasks = Sent(), set()
    limits = aiohttp.TCPConnector(limit=0)
    auth = aiohttp.BasicAuth(_LOGIN, _PASSWORD)
    async with aiohttp.ClientSession(connector=limits, auth=auth) as session:
        began = time.monotonic()
        for number in range(RATE * seconds):
            if half_way is not None and number == RATE * seconds // 2:
                await half_way()  # type: ignore[operator]
            await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))
            tasks.add(asyncio.create_task(_post(session, url, f"{name}-{number}", apart, sent)))
        await asyncio.gather(*tasks)
    return sent


async def _post(session: aiohttp.ClientSession, url: str, id_: str, apart: float, sent: Sent) -> None:
    event = {
        "id": id_,
        "action": "reward",
        "customer": {"id": "c1"},
        "timestamp": "2026-01-15T12:00:00Z",
        "properties": {},
    }
    for attempt in range(TRIES):
        began = time.monotonic()
        try:
            async with session.post(url, json={"event": event}, timeout=aiohttp.ClientTimeout(10)) as answer:
                status = str(answer.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            status = type(error).__name__
        sent.answers[status] += 1
        if status.startswith("2"):
            sent.kept.add(id_)
            if attempt == 0:
                sent.latencies.append(time.monotonic() - began)
            return
        await asyncio.sleep(apart)
