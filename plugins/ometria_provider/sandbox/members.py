"""Made-up members of a loyalty programme: member ``i`` follows from (seed, ``i``) alone, so a million need no storage.

A member is a dict in the shape of the Read API (contract/antavo.md, the table under "Customers"); ``shapes.py`` turns
it into the Loyalty API's. What is dirty on purpose, for every 2,000 members:

- about 20 without an e-mail, 40 with spaces and capitals in it, 5 who share theirs with the member before;
- 4 mobile numbers without ``+``, 1 that is no number, 2 birthdays in the future, 1 birthday of zeros, 1 e-mail
  without ``@``: a careful mapping rejects these 9 (0.45 %), which stays under the usual limit of 1 %;
- missing names, genders, birthdays, numbers, purchases; members who are pending, suspended, banned or merged.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

from ometria_provider.sandbox import words

Customer = dict[str, Any]

OPENED = 1_551_434_400  # 2019-03-01T10:00:00Z, the programme's first day
YEARS = 6.5
_NOW = 1_767_225_600  # 2026-01-01T00:00:00Z: made-up history ends here
_ID_BITS = 48
_ID_FACTOR = 0x5DEECE66D  # odd, so that it has an inverse modulo 2**48: ids look random and lead back to the index
_ID_INVERSE = pow(_ID_FACTOR, -1, 1 << _ID_BITS)
_STATUSES = (
    ("active",) * 231
    + ("inactive",) * 15
    + ("pending",) * 4
    + ("suspended", "banned", "banned", "merged", "merged", "merged")
)


def iso(timestamp: int) -> str:
    """Return unix seconds as the Read API writes them: ISO 8601 with ``+00:00``."""
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(timestamp))


class Generator:
    """Makes members 0 to ``count`` − 1 on demand.

    :param seed: the same seed makes the same members.
    :param count: how many there are; it decides the time between two joins.
    :param bulk: how many share one ``created_at`` (at most half of them).
    """

    def __init__(self, seed: int, count: int, bulk: int = 250) -> None:
        self.seed, self.count = seed, count
        self._key = hashlib.blake2b(str(seed).encode(), digest_size=16).digest()
        self._mask = int.from_bytes(self._key[:6], "big")
        self._step = max(1, int(YEARS * 365 * 86400) // max(1, count))
        self._bulk = range(count // 4, count // 4 + min(bulk, count // 2))

    def id(self, index: int) -> str:
        """Return the id of a member: 12 hexadecimal digits."""
        return f"{(index * _ID_FACTOR % (1 << _ID_BITS)) ^ self._mask:012x}"

    def index(self, customer_id: str) -> int | None:
        """Return the index that an id leads back to, or None when no member has it."""
        try:
            number = int(customer_id, 16) ^ self._mask
        except ValueError:
            return None
        index = number * _ID_INVERSE % (1 << _ID_BITS)
        return index if 0 <= index < self.count and self.id(index) == customer_id else None

    def joined(self, index: int) -> int:
        """Return ``created_at`` in unix seconds; it never falls as the index grows."""
        if index in self._bulk:
            index = self._bulk.start
        elif index % 40 == 39:  # now and then two join in the same second
            index -= 1
        return OPENED + index * self._step

    def updated(self, index: int) -> int:
        """Return ``updated_at`` in unix seconds."""
        b = self._bytes(index)
        joined = self.joined(index)
        return joined + (_NOW - joined) * b[40] // 256

    def status(self, index: int) -> str:
        """Return the member's status, as the Read API words it."""
        return _STATUSES[self._bytes(index)[0]]

    def _bytes(self, index: int) -> bytes:
        return hashlib.blake2b(index.to_bytes(8, "big"), digest_size=48, key=self._key).digest()

    def member(self, index: int) -> Customer:
        """Return member ``index`` as the Read API shows it."""
        b = self._bytes(index)
        joined = self.joined(index)
        created_at = iso(joined)
        place = words.PLACES[b[1] % 10] if b[1] < 240 else words.PLACES[0]
        woman = b[2] < 134
        first = (place.women if woman else place.men)[b[3] % 10]
        last = place.surnames[b[4] % 10]
        score = int.from_bytes(b[5:7], "big") ** 2 // 400_000
        spent, expired = score * b[7] // 512, score * b[8] // 2560
        customer: Customer = {
            "_id": self.id(index),
            "handler": f"{words.INTERESTS[b[9] % 7]}_{index}" if b[9] < 120 else None,
            "first_name": first if b[10] > 10 else None,
            "last_name": last if b[10] > 5 else "",
            "email": self._email(index, b),
            "mobile_phone": _phone(index, b, place),
            "birth_date": _birthday(index, b),
            "language": place.language,
            "currency": place.currency,
            "image_url": f"https://images.example.com/{b[11]:02x}.png" if b[11] < 40 else None,
            "gender": ("female" if woman else "male") if b[12] > 30 else None,
            "status": _STATUSES[b[0]],
            "score": score,
            "spent": spent,
            "reserved": b[13] if b[13] < 20 else 0,
            "expired": expired,
            "pending": b[14] * 0.5 if b[14] < 30 else 0,
            "optin_at": created_at,
            "last_login_at": iso(joined + (_NOW - joined) * b[15] // 256) if b[15] > 60 else None,
            "updated_at": iso(joined + (_NOW - joined) * b[40] // 256),
            "created_at": created_at,
            "optout_at": None,
            "country": place.country,
            "membership_id": [f"LM-{index:07d}"] if b[16] < 250 else [],
            "external_ids": {"pos": str(_long_id(index, b)), "webshop": f"w{index * 7 + b[17]}"},
            "group_id": [words.GROUPS[b[18] % 4]] if b[18] < 50 else [],
            "accounts": _accounts(score, spent, expired, b),
            "tiers": {"basic_structure": _tier(score, joined, b)},
            "properties": _properties(index, b, place),
        }
        if b[19] > 60:
            bought = iso(joined + (_NOW - joined) * b[20] // 256)
            customer |= {
                "purchase_total": score + b[21] / 100,
                "purchase_count": 1 + b[22] % 40,
                "purchase_last_date": bought,
            }
        elif b[19] > 30:
            customer |= {"purchase_total": None, "purchase_count": None, "purchase_last_date": None}
        return customer

    def _email(self, index: int, b: bytes) -> str | None:
        if index % 100 == 7:
            return "" if index % 200 == 7 else None
        if index % 400 == 201:  # shares the e-mail of the member before
            return self._email(index - 1, self._bytes(index - 1))
        text = f"member{index}.{b[23]:02x}@{words.MAIL_DOMAINS[b[24] % 4]}"
        if index % 50 == 13:
            return f" {text.title()} "
        return text if index % 2000 != 777 else text.replace("@", " at ")


def expiring_points(customer: Customer) -> dict[str, Any]:
    """Return ``expiring_points`` of the detail call; its shape is assumed (contract/antavo.md)."""
    total = int(customer["score"]) // 10
    dates = ((2027, total - total // 3), (2028, total // 3))
    return {
        "total": total,
        "history": [{"date": f"{year}-03-31", "points": points} for year, points in dates if points],
    }


def _long_id(index: int, b: bytes) -> int:
    """Return a number of 19 digits: too long for a float, short enough for 64 bits."""
    return 4_000_000_000_000_000_001 + int.from_bytes(b[25:29], "big") * 1_000_000_007 + index


def _phone(index: int, b: bytes, place: words.Place) -> str | None:
    if index % 500 == 137:
        return f"{place.national}{b[29] * 3:03d}"
    if index % 2000 == 999:
        return "n/a"
    return f"{place.mobile}{b[29] * 3:03d}" if b[30] > 40 else None


def _birthday(index: int, b: bytes) -> str | None:
    if index % 2000 == 1444:
        return "0000-00-00"
    if b[31] < 40 and index % 1000 != 333:
        return None
    century = 100 if index % 1000 == 333 else 0  # 2068 typed for 1968
    return f"{1945 + b[31] % 60 + century}-{b[32] % 12 + 1:02d}-{b[33] % 28 + 1:02d}"


def _accounts(score: int, spent: int, expired: int, b: bytes) -> dict[str, Any]:
    accounts: dict[str, Any] = {
        "prestige_balance": {
            "name": words.ACCOUNT_NAMES["prestige_balance"],
            "type": "point",
            "earned": score // 5 + b[34],
            "spent": spent // 5,
            "pending": 0,
            "reserved": 0,
            "expired": expired // 5,
        }
    }
    if b[34] < 100:
        accounts["bonus_balance"] = {
            "name": words.ACCOUNT_NAMES["bonus_balance"],
            "type": "point",
            "earned": b[34] + 0.1,
            "spent": 0,
            "pending": b[34] % 5,
            "reserved": 0,
            "expired": 0,
        }
    return accounts


def _tier(score: int, joined: int, b: bytes) -> dict[str, Any]:
    level = max(n for n, (_, _, threshold) in enumerate(words.TIERS) if score >= threshold)
    tier_id, name, threshold = words.TIERS[level]
    following: dict[str, Any] = {}
    if level + 1 < len(words.TIERS):
        next_id, next_name, reached_at = words.TIERS[level + 1]
        following = {"id": next_id, "name": next_name, "points": reached_at - score}
    since = iso(joined + (_NOW - joined) * b[35] // 256)
    return {
        "_id": tier_id,
        "name": name,
        "since": since,
        "expdate": f"{2026 + b[36] % 3}-12-31T00:00:00+00:00" if level else None,
        "threshold": threshold,
        "points": score,
        "points_after_expiration": score - score // 10,
        "history": [{"tier": tier_id, "since": since}],
        "next": following,
    }


_NEWSLETTER: tuple[Any, ...] = (True,) * 150 + (False,) * 60 + (None,) * 30 + ("yes",) * 10 + ("no",) * 6
_VARIED: tuple[tuple[str, Callable[[bytes], Any]], ...] = (
    ("favourite_store", lambda b: words.STORES[b[38] % 6] if b[38] < 200 else None),
    ("shoe_size", lambda b: (35 + b[39] % 22 / 2) if b[39] < 180 else ""),
    ("interests", lambda b: sorted({words.INTERESTS[b[41] % 7], words.INTERESTS[b[42] % 7]}) if b[41] < 150 else []),
    ("favourite_brand", lambda b: words.BRANDS[b[43] % 6] if b[43] < 90 else None),
    ("children", lambda b: b[44] % 4 if b[44] < 120 else None),
    ("last_survey", lambda b: f"2025-{b[45] % 12 + 1:02d}-{b[46] % 28 + 1:02d}" if b[45] < 120 else None),
)


def _properties(index: int, b: bytes, place: words.Place) -> dict[str, Any]:
    made = {
        "newsletter": _NEWSLETTER[b[37]],
        "member_number": _long_id(index, b),
        "preferred_language": place.language if b[47] < 200 else None,
    }
    return made | {name: make(b) for name, make in _VARIED}
