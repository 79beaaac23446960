"""A run as a funnel: read → changed → valid → sent → accepted, and where the members of each drop-off are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ometria_provider.report import RunReport


@dataclass(frozen=True)
class Drop:
    """Members who did not come to the next stage.

    :param link: what follows `/ometria` in the address that shows them, or says why.
    """

    members: int
    words: str
    link: str


@dataclass(frozen=True)
class Stage:
    """Members who came so far, and those who did not.

    :param share: of all that were read, 0 to 1.
    """

    name: str
    members: int
    share: float
    drops: tuple[Drop, ...]


def funnel(report: RunReport, refused: Mapping[str, int]) -> list[Stage]:
    """Return a run's stages from its report.

    :param refused: members whom each stage of the run rejected.
    """
    run, books = report.run, report.books
    here = f"/runs/{run.id}"
    remembered = f"/runs/{report.remembered_from}/rejections" if report.remembered_from else f"{here}/rejections"
    left_out = f"{here}#left-out" if report.left_out else f"/mappings/{run.mapping}"
    changed = books.read - books.unchanged - books.filtered - books.remembered
    pending = max(books.to_send - books.sent - refused.get("push", 0), 0)
    rows = [
        ("read", books.read, ()),
        (
            "changed",
            changed,
            (
                Drop(books.unchanged, "unchanged since Ometria last accepted them", f"/runs?mapping={run.mapping}"),
                Drop(books.filtered, "left out by the mapping's `where`", left_out),
                Drop(books.remembered, "rejected before, and not due again", remembered),
            ),
        ),
        ("valid", books.to_send, _refused(here, refused, ("mapping", "validation"))),
        (
            "sent",
            books.sent,
            (
                *_refused(here, refused, ("push",)),
                Drop(pending, "would be sent: a dry run" if run.dry_run else "not sent", f"{here}#steps"),
            ),
        ),
        (
            "accepted",
            books.accepted,
            (
                *_refused(here, refused, ("ometria",)),
                Drop(0 if run.dry_run else min(books.pending, books.sent), "not delivered for sure", f"{here}#steps"),
            ),
        ),
    ]
    whole = books.read or 1
    return [
        Stage(name, members, min(max(members / whole, 0.0), 1.0), tuple(drop for drop in drops if drop.members > 0))
        for name, members, drops in rows
    ]


def _refused(here: str, refused: Mapping[str, int], stages: tuple[str, ...]) -> tuple[Drop, ...]:
    words = {
        "mapping": "could not be converted",
        "validation": "against a rule",
        "push": "refused when they were sent",
        "ometria": "rejected by Ometria later",
    }
    return tuple(Drop(refused.get(each, 0), words[each], f"{here}/rejections?stage={each}") for each in stages)
