"""What `ometria-sync doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """One finding.

    :param words: what is so, and what to do when it is wrong.
    """

    state: Literal["ok", "warn", "fail"]
    subject: str
    words: str
