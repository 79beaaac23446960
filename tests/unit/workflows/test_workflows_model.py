from __future__ import annotations

from ometria_provider.workflows.model import Workflow


def test_workflow_reads_what_its_parts_name() -> None:
    workflow = Workflow.from_data(
        "claimed",
        {
            "trigger": {"event": "reward"},
            "where": {"customer.status": "active", "event.points": {"gte": 0}},
            "identity": {"identity_email": None},
            "reward_id": "event.properties.reward",
            "action": {
                "event_type": "claimed",
                "payload": [
                    {"loyalty": "reward.name", "remote": "reward_name"},
                    {"loyalty": "customer.score", "remote": "balance"},
                    {"value": "antavo", "remote": "source"},
                ],
            },
        },
    )
    assert workflow.reads_customer == ("status", "id", "score")
    assert workflow.reads_reward
    assert workflow.reads[-3:] == ("event.properties.reward", "reward.name", "customer.score")
