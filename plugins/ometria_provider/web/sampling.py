"""The members on whom an editor's preview is shown: read once, and looked at again with every change of the draft.

They stay in this process's memory only, each user's apart, and for a few minutes (docs/adr/0064).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ometria_provider.hooks.antavo import AntavoHook

#: Members of a preview, seconds for which they are kept, and samples kept at a time.
SHOWN, KEPT, MOST = 5, 300.0, 50


@dataclass
class Sample:
    """Some live members, and what was asked about each of them since.

    :param hook: what details are asked through: once for each member and set of fields.
    """

    hook: AntavoHook
    customers: Sequence[dict[str, Any]]
    _known: dict[tuple[str, tuple[str, ...]], dict[str, Any] | None] = field(default_factory=dict)

    def details(self, id: str, fields: Sequence[str]) -> dict[str, Any] | None:
        """Return a member's details as :meth:`AntavoHook.details` does, from memory after the first time."""
        key = (id, tuple(fields))
        if key not in self._known:
            self._known[key] = self.hook.details(id, fields)
        return self._known[key]


class Samples:
    """The samples that are kept: one for each user and Antavo connection, those looked at last.

    :param clock: seconds that only rise.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], tuple[float, Sample]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, user: str, account: str, make: Callable[[], Sample]) -> Sample:
        """Return the sample that is kept, or a new one.

        :param make: reads members, and leaves the audit line that says who looks at them.
        """
        key = (user, account)
        with self._lock:
            self.drop_old()
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][1]
        made = make()  # takes as long as Antavo: nobody else waits for it
        with self._lock:
            self._kept[key] = (self._clock() + KEPT, made)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
        self._drop_later()
        return made

    def drop_old(self) -> int:
        """Drop what was kept for long enough, and return how many are left."""
        now = self._clock()
        for key in [key for key, (until, _) in self._kept.items() if until <= now]:
            del self._kept[key]
        return len(self._kept)

    def _drop_later(self) -> None:
        """Nobody may come again, and then nothing else would drop them."""
        timer = threading.Timer(KEPT + 1, self._drop_locked)
        timer.daemon = True
        timer.start()

    def _drop_locked(self) -> None:
        with self._lock:
            self.drop_old()
