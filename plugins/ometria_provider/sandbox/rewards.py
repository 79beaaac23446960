"""The programme's rewards: a catalogue that looks real, in several languages, less what was deleted.

Ids and prices follow from the seed. What is odd on purpose: a name that is plain text, one without English, a
description of more than 512 characters, an empty one, quotes, ampersands and emoji. ``GET /rewards/{id}`` answers every
other reward in an array of one (contract/antavo.md, "Events and rewards").
"""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Any

import msgspec

from ometria_provider.sandbox.catalogue import CATALOGUE

Reward = dict[str, Any]


class Rewards:
    """Rewards by id, each with ``name`` and ``description`` as language maps (or plain text).

    :param seed: the same seed makes the same ids and prices.
    """

    def __init__(self, seed: int, database: sqlite3.Connection) -> None:
        self._database = database
        self._base = {reward["id"]: reward for reward in (_reward(seed, n) for n in range(len(CATALOGUE)))}

    def ids(self) -> list[str]:
        """Return the ids of the rewards that are there."""
        return [reward_id for reward_id in self._base if self.get(reward_id) is not None]

    def get(self, reward_id: str) -> Reward | None:
        """Return a reward, or None."""
        row = self._database.execute("select body from reward where id=?", (reward_id,)).fetchone()
        if row is None:
            return self._base.get(reward_id)
        return None if row[0] is None else msgspec.json.decode(row[0])

    def flat(self, reward_id: str) -> Reward | list[Reward] | None:
        """Return a reward as ``GET /rewards/{id}`` shows it: texts in one language, perhaps in an array of one."""
        reward = self.get(reward_id)
        if reward is None:
            return None
        shown = reward | {name: _text(reward[name]) for name in ("name", "description")}
        return [shown] if sum(reward_id.encode()) % 2 else shown

    def change(self, reward_id: str, fields: Reward) -> bool:
        """Set some fields; False when there is no such reward."""
        reward = self.get(reward_id)
        if reward is not None:
            self._store(reward_id, msgspec.json.encode(reward | fields | {"id": reward_id}))
        return reward is not None

    def delete(self, reward_id: str) -> bool:
        """Take a reward out of the programme; False when there is none."""
        there = self.get(reward_id) is not None
        if there:
            self._store(reward_id, None)
        return there

    def restore(self) -> None:
        """Go back to the catalogue."""
        self._database.execute("delete from reward")

    def _store(self, reward_id: str, body: bytes | None) -> None:
        self._database.execute("insert or replace into reward values (?,?)", (reward_id, body))


def _reward(seed: int, number: int) -> Reward:
    category, price, name, description = CATALOGUE[number]
    digest = hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=12).digest()
    return {
        "id": digest.hex(),
        "name": name,
        "category": category,
        "price": price + digest[0] % 5 * (price // 20),
        "description": description,
        "image_url": f"https://images.example.com/rewards/{digest[:4].hex()}.jpg",
    }


def _text(value: str | dict[str, str]) -> str:
    return value if isinstance(value, str) else value.get("en") or next(iter(value.values()), "")
