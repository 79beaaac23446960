"""Deliver events that wait in the ledger's inbox, against a sandbox, and see what became of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ometria_provider.delivery.campaign import Tally
from ometria_provider.ledger import inbox
from ometria_provider.ledger.inbox import Collected
from ometria_provider.operators.deliver import deliver
from ometria_provider.workflows.events import event_view
from ometria_provider.workflows.files import load_workflow
from ometria_provider.workflows.model import Workflow
from sync import Sync

ACCOUNT = "antavo_default"

#: Reads the reward and the customer, and asks nobody else.
PAYLOAD = [
    {"loyalty": "reward.name", "remote": "reward_name"},
    {"loyalty": "event.points", "remote": "points"},
    {"loyalty": "customer.score", "remote": "balance"},
]


class Campaign:
    """The workflows of one test, and the events that wait for them."""

    def __init__(self, sync: Sync) -> None:
        self.sync = sync
        self.folder = sync.folder / "workflows"
        self.folder.mkdir(exist_ok=True)
        sync.set("workflows_folder", self.folder)
        sync.ledger.ready()

    def workflow(self, name: str = "thanks", /, *, event_type: str = "claimed", **keys: Any) -> None:
        """Write a workflow file: for every claim, through the mapping `members`, unless told otherwise."""
        defaults: dict[str, Any] = {
            "trigger": {"event": "reward"},
            "action": {"event_type": event_type, "payload": keys.pop("payload", PAYLOAD)},
            "reward_id": "event.properties.reward",
            "contact_mapping": "members",
            "start": "2020-01-01",
        }
        (self.folder / f"{name}.yaml").write_text(json.dumps(defaults | keys))

    @property
    def workflows(self) -> list[Workflow]:
        return [load_workflow(path) for path in sorted(self.folder.glob("*.yaml"))]

    def happens(self, customer_id: str | None, reward: str | None = None, **event: Any) -> str:
        """Let an event come into the inbox for all workflows that there are; return its id."""
        id_ = uuid.uuid4().hex
        raw = {
            "id": id_,
            "action": "reward",
            "Customer": {"id": customer_id},
            "points": 100,
            "timestamp": (datetime.now(UTC) - timedelta(seconds=5)).isoformat(),
            "properties": {"reward": reward or self.rewards[0]},
        }
        self.put([raw | event])
        return id_

    def put(self, events: list[Mapping[str, Any]]) -> None:
        names = tuple(workflow.name for workflow in self.workflows)
        seen = [event_view(dict(event)) for event in events]
        kept = [Collected(one.id, one.action, one.customer_id, one.timestamp, one.encode(), names) for one in seen]
        inbox.put(self.sync.ledger, ACCOUNT, kept, inbox.ASKED)

    @property
    def rewards(self) -> list[str]:
        return [reward["id"] for reward in self.sync.sandbox.control("rewards")]

    def deliver(self, **more: Any) -> Tally:
        """Deliver all that waits."""
        return deliver(self.sync.ledger, self.workflows, ACCOUNT, f"manual__{uuid.uuid4()}", **more)

    def deliver_and_kill(self, *, acknowledged: int) -> int:
        """Deliver in a process of its own, and kill -9 it when so many events are acknowledged.

        :returns: how many events the ledger knew as on their way when the process was dead.
        """
        count = "SELECT count(*) AS n FROM event_delivery WHERE state=:state"
        script = str(Path(__file__).with_name("deliver_once.py"))
        process = subprocess.Popen([sys.executable, script, ACCOUNT, "killed"], stderr=subprocess.DEVNULL)
        try:
            while self.sync.query(count, state="acknowledged")[0]["n"] < acknowledged:
                assert process.poll() is None, "it ended before it could be killed: slow the sandbox down"
                time.sleep(0.01)
        finally:
            process.kill()
            process.wait()
        sending: int = self.sync.query(count, state="sending")[0]["n"]
        return sending

    def fate(self, event_id: str, workflow: str = "thanks") -> tuple[str, str | None]:
        """Return the state of a delivery and its reason."""
        (row,) = self.sync.query(
            "SELECT state, reason FROM event_delivery WHERE event_id=:id AND workflow=:name", id=event_id, name=workflow
        )
        return row["state"], row["reason"]

    def received(self) -> dict[str, int]:
        """Return what Ometria got: custom events stored, received, and how often the most frequent one came."""
        found: dict[str, int] = self.sync.stats()["events"]
        return found

    def events(self, offset: int = 0) -> list[dict[str, Any]]:
        """Return the custom events that Ometria stored, a thousand at most."""
        found: list[dict[str, Any]] = self.sync.sandbox.control(f"custom_events?limit=1000&offset={offset}")
        return found

    def requests(self, call: str) -> int:
        """Return how many requests of a kind were answered."""
        counts: dict[str, dict[str, int]] = self.sync.stats()["requests"]
        return sum(sum(codes.values()) for name, codes in counts.items() if call in name)
