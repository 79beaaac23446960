"""Compare a run's counts with its mapping's limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol


class Limits(Protocol):
    """The `limits` of a mapping file: shares of the members read, None for no limit."""

    @property
    def max_rejected_share(self) -> float | None: ...
    @property
    def max_outstanding_share(self) -> float | None: ...
    @property
    def max_changed_share(self) -> float | None: ...
    @property
    def max_cleared_share(self) -> float | None: ...
    @property
    def max_departed_share(self) -> float | None: ...
    @property
    def max_drop_share(self) -> float | None: ...
    @property
    def min_count(self) -> int: ...


@dataclass(frozen=True)
class Counts:
    """What a run is about to do.

    :param last_read: members read by the last complete scan, None when there was none.
    :param cleared: members that would lose a value, by remote field.
    :param departed: members who left, and contacts that are missing for the first time.
    :param missing: those among them that are missing for the first time.
    :param known: contacts that could have left.
    """

    read: int
    rejected: int
    remembered: int
    changed: int
    last_read: int | None = None
    cleared: Mapping[str, int] = field(default_factory=dict)
    departed: int = 0
    missing: int = 0
    known: int = 0


@dataclass(frozen=True)
class Breach:
    """A limit that is broken.

    :param key: which: the limit's name, with the field behind it where it is counted by field.
    :param members: how many are over it.
    :param said: by how much, in a sentence.
    :param advice: what to set if it is meant.
    :param is_absolute: the run is halted at once, whoever would approve it (docs/adr/0056).
    """

    key: str
    members: int
    said: str
    advice: str
    is_absolute: bool = False

    @property
    def sentence(self) -> str:
        """Say all of it."""
        return f"{self.said} {self.advice}"


def breaches(counts: Counts, limits: Limits) -> list[Breach]:
    """Return each limit that is broken: which, by how much, and what to set if it is meant.

    A share counts only from `min_count` members on, so that one bad record in a list of ten stops nothing.
    """
    checks = [
        ("max_rejected_share", counts.rejected, "would be newly rejected", counts.read),
        ("max_outstanding_share", counts.rejected + counts.remembered, "are rejected and unresolved", counts.read),
        ("max_changed_share", counts.changed, "would change", counts.read),
        *(
            ("max_cleared_share", members, f"would lose their value of `{name}`", counts.read)
            for name, members in counts.cleared.items()
        ),
        # Of those who were known, when they are more: who left is not among the members read.
        ("max_departed_share", counts.departed, "left or are missing", max(counts.read, counts.known)),
    ]
    if counts.last_read:
        gone = counts.last_read - counts.read
        checks.append(
            ("max_drop_share", gone, f"fewer were read than last time ({counts.last_read})", counts.last_read)
        )
    found = [
        _breach(name, getattr(limits, name), members, what, of)
        for name, members, what, of in checks
        if _is_over(getattr(limits, name), members, of, limits.min_count)
    ]
    # Of members who are missing for the first time nothing is known but that the scan did not meet them: what looks
    # like a great departure may be half a scan, and nobody can see the difference by its counts.
    half_a_scan = _is_over(limits.max_departed_share, counts.missing, max(counts.read, counts.known), limits.min_count)
    return [replace(each, is_absolute=half_a_scan and each.key == "max_departed_share") for each in found]


def _is_over(limit: float | None, members: int, of: int, min_count: int) -> bool:
    return limit is not None and of > 0 and members >= min_count and members / of > limit


def _breach(name: str, limit: float, members: int, what: str, of: int) -> Breach:
    share, field_ = members / of, what.partition("`")[2].rstrip("`")
    return Breach(
        key=f"{name}:{field_}" if field_ else name,
        members=members,
        said=f"{members:,} of {of:,} members {what}: {share:.1%}, and limits.{name} is {limit:.1%}.",
        advice=f"If that is meant, set limits.{name} to {_above(share)} or more (null: no limit) and start a new run.",
    )


def _above(share: float) -> float:
    """Return the next whole percent above a share, as it would be written in the file."""
    return min(1.0, (int(share * 100) + 1) / 100)


def flood(errors: Mapping[tuple[str, str], int], sent: int, limits: Limits) -> str | None:
    """Return why a push must stop: late errors, measured against the records sent so far, are over the limit.

    :param errors: how often each error (message, path) came since the push began, for fields that the mapping sends.
    """
    count, limit = sum(errors.values()), limits.max_rejected_share
    if limit is None or not sent or count < max(limits.min_count, 1) or count / sent <= limit:
        return None
    most = sorted(errors.items(), key=lambda item: (-item[1], item[0]))[:3]
    said = "; ".join(f"{message} ({path or 'no path'}), {number:,} ×" for (message, path), number in most)
    return (
        f"Ometria's error log gained {count:,} errors for fields that this mapping sends, after {sent:,} records: "
        f"{count / sent:.1%}, and limits.max_rejected_share is {limit:.1%}. They are: {said}. Nothing more is sent; "
        "what was acknowledged is read back. Errors of other senders to this account may be among them: the log does "
        "not say whose they are. Look at the mapping and at Ometria's fields, then clear the task or start a new run."
    )
