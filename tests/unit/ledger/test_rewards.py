"""Rewards are remembered for a while."""

from datetime import UTC, datetime, timedelta

from ometria_provider.ledger import rewards
from ometria_provider.ledger.engine import Ledger

ACCOUNT = "antavo_default"


def test_reward_is_remembered_until_it_is_too_old(ledger: Ledger) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    rewards.keep(ledger, ACCOUNT, {"1": {"id": "1", "name": "Mug"}})
    assert rewards.read_since(ledger, ACCOUNT, ["1", "2"], before) == {"1": {"id": "1", "name": "Mug"}}
    assert rewards.read_since(ledger, ACCOUNT, ["1"], datetime.now(UTC) + timedelta(seconds=1)) == {}
    assert rewards.read_since(ledger, "antavo_other", ["1"], before) == {}


def test_reward_read_again_takes_the_place_of_the_older_one(ledger: Ledger) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    rewards.keep(ledger, ACCOUNT, {"1": {"name": "Mug"}})
    rewards.keep(ledger, ACCOUNT, {"1": {"name": "Cup"}})
    rewards.keep(ledger, ACCOUNT, {})
    assert rewards.read_since(ledger, ACCOUNT, ["1"], before) == {"1": {"name": "Cup"}}
