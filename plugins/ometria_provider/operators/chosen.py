"""Runs for chosen members: whom plan chose, how they are read, and whom Antavo does not know.

Plan stages the ids, since XCom is no place for them, and lists slices in one of two forms. A slice that holds `ids`
asks for each customer by its id; any other is a window of the complete scan, of which only the chosen are kept.
Everything behind extract is the same as in a complete scan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from ometria_provider.delivery.plan import scan_requests
from ometria_provider.exceptions import SyncError
from ometria_provider.operators.asking import Asking, Untold
from ometria_provider.operators.base import Window, Work
from ometria_provider.staging.store import CHUNK

if TYPE_CHECKING:
    from ometria_provider.hooks.antavo import AntavoHook

#: Requests in flight at once: at Antavo's 25 a second (contract/antavo.md, "Limits") answers may take a third of one.
IN_FLIGHT = 8

#: Customers that are asked for before their chunk's time is noted anew.
PAGE = 500

#: Customers among whom one is looked for that the server answers for.
WITNESSES = 100

#: The file with the choice.
CHOICE = "chosen"


@dataclass(frozen=True)
class Choice:
    """The members that a run is for.

    :param ids: theirs, each once.
    :param kind: whose ids these are: Antavo's, or those of the contacts that the mapping makes.
    :param tried: of whom Antavo did not tell before, and who are asked for only to see whether it does by now.
    """

    ids: tuple[str, ...]
    kind: Literal["customer", "contact"] = "customer"
    tried: tuple[str, ...] = ()

    def needs_scan(self, members: int | None) -> bool:
        """Say whether a complete scan finds them with fewer requests, or is the only way.

        :param members: how many Antavo has; None when nobody can tell.
        """
        if not self.ids:
            return False
        if self.kind == "contact":
            return True
        return members is not None and len(self.ids) > scan_requests(members, max(1, -(-members // CHUNK)))

    def windows(self) -> list[Window]:
        """Return the slices of a run that asks for each by its id: one at least, which a run for nobody has too."""
        starts = range(0, max(len(self.ids), 1), CHUNK)
        return [
            {"index": index, "gte": None, "lt": None, "ids": [start, min(start + CHUNK, len(self.ids))]}
            for index, start in enumerate(starts)
        ]

    def keep(self, work: Work) -> None:
        """Stage the choice for the run's other tasks."""
        work.store.own.write_manifest(CHOICE, asdict(self))


def planned(work: Work) -> Choice | None:
    """Return whom plan chose, or None when the run is for everybody."""
    return staged(work) if work.run.is_partial else None


def staged(work: Work) -> Choice:
    """Return the choice that plan staged."""
    found = work.store.own.read_manifest(CHOICE)
    return Choice(tuple(found["ids"]), found["kind"], tuple(found.get("tried", ())))


@dataclass(frozen=True)
class Withheld:
    """A customer whom Antavo does not tell of, while it answers for others.

    :param customer: Antavo's id.
    """

    customer: str
    error: Untold


def newest(hook: AntavoHook) -> list[str]:
    """Return the ids of some customers who are there now."""
    return [str(customer["_id"]) for customer in hook.sample(WITNESSES)]


def read(hook: AntavoHook, ids: tuple[str, ...]) -> Iterator[list[dict[str, Any] | Withheld]]:
    """Yield the customers with these ids in their order, several requests in flight; unknown ones are left out.

    :raises SyncError: when there is no answer, and the fault is in no id.
    """
    asking = Asking(hook.customer, IN_FLIGHT, partial(newest, hook))
    for start in range(0, len(ids), PAGE):
        page = ids[start : start + PAGE]
        answers = dict(asking.told(page))
        found = ((id_, answers[id_]) for id_ in page)
        yield [Withheld(id_, one) if isinstance(one, SyncError) else one for id_, one in found if one is not None]


def unknown(work: Work, slices: int) -> list[str]:
    """Return the chosen ids with which extract found nobody, in the order in which they were chosen."""
    choice = planned(work) if work.run.is_chosen else None
    if choice is None:
        return []
    manifests = (work.store.slice(index).read_manifest("extract") for index in range(slices))
    found = {id_ for manifest in manifests for id_ in manifest["found"]}
    return [id_ for id_ in choice.ids if id_ not in found]
