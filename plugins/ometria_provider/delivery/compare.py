"""Decide what becomes of one member: the comparison of what was read with what the ledger knows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from ometria_provider.delivery.digests import without_details

#: What map decides about a member. `remembered`: rejected before and not due; `held`: acknowledged in a batch of which
#: Ometria rejected something unknown, so neither delivered for sure nor to be sent again.
Action = Literal["send", "unchanged", "filtered", "rejected", "remembered", "held"]


class Known(Protocol):
    """What the ledger knows of a contact (a row of `contact_state`)."""

    @property
    def state(self) -> str: ...
    @property
    def fingerprint(self) -> bytes | None: ...
    @property
    def source_digest(self) -> bytes | None: ...
    @property
    def sync_run_id(self) -> int: ...
    @property
    def changed_at(self) -> datetime: ...
    @property
    def consent_digest(self) -> bytes | None: ...
    @property
    def opted_out_at(self) -> datetime | None: ...
    @property
    def sms_opted_out_at(self) -> datetime | None: ...
    @property
    def held(self) -> str | None: ...
    @property
    def details_at(self) -> datetime | None: ...
    @property
    def suspect(self) -> str | None: ...


@dataclass(frozen=True)
class Comparison:
    """The rules of one run.

    :param run_id: the run that compares; what it did itself before it was cleared is not "before".
    :param retry_rejected: after this time a remembered rejection is tried again; None: only when something changes.
    :param now: the run's start.
    :param asked_for: somebody asked for just these members: each is looked at anew, and what was rejected, or is not
        delivered for sure, goes again.
    :param details_max_age: how old details may be; None: the mapping reads none.
    """

    run_id: int
    retry_rejected: timedelta | None
    now: datetime
    asked_for: bool = False
    details_max_age: timedelta | None = None

    def needs_details(self, known: Known | None, base: bytes) -> bool:
        """Say whether a customer's details must be asked for before anything can be said of it.

        :param base: the source digest without details.
        """
        if known is None or known.source_digest is None or known.details_at is None or self.details_max_age is None:
            return True
        if without_details(known.source_digest) != base or self.now - known.details_at > self.details_max_age:
            return True
        return self.at_a_glance(known, known.source_digest) is None

    def at_a_glance(self, known: Known | None, source: bytes) -> Action | None:
        """Return what becomes of a member by the source digest alone, or None when it must be mapped.

        Whoever is to be read back is mapped: what was sent is compared with what Ometria holds.
        """
        if self.asked_for or known is None or not self._is_same(known, source) or _is_open(known):
            return None
        match known.state:
            case "accepted" if not known.suspect:
                return "unchanged"
            case "filtered" | "departed":  # of those who departed only the filtered keep the digest
                return "filtered"
            case "rejected" if not self._due(known):
                return "remembered"
        return None

    def by_record(self, known: Known | None, source: bytes, fingerprint: bytes, *, consent: bool = False) -> Action:
        """Return what becomes of a member whose record was made and passes the mapping's `where`.

        :param consent: its consent group is to be sent.
        """
        if known is None:
            return "send"
        if known.fingerprint != fingerprint or consent:
            return "remembered" if self._remembered(known, source) else "send"
        if known.sync_run_id == self.run_id and known.state in {"accepted", "pending"}:
            # This run's own delivery, before its map was cleared: push sees that it is done, and counts it.
            return "send"
        if known.state == "pending":
            return "send" if self.asked_for else "held"
        return "unchanged"

    def by_refusal(self, known: Known | None, source: bytes) -> Action:
        """Return what becomes of a member that the mapping rejects."""
        return "remembered" if self._remembered(known, source) else "rejected"

    def _remembered(self, known: Known | None, source: bytes) -> bool:
        return (
            not self.asked_for
            and known is not None
            and known.state == "rejected"
            and self._is_same(known, source)
            and not self._due(known)
        )

    def _is_same(self, known: Known, source: bytes) -> bool:
        return known.source_digest == source and known.sync_run_id != self.run_id

    def _due(self, known: Known) -> bool:
        return self.retry_rejected is not None and self.now - known.changed_at >= self.retry_rejected


def _is_open(known: Known) -> bool:
    """Say whether a member's consent wants another look: an opt-in is held back, or an opt-out was not acknowledged."""
    if known.held is not None or known.consent_digest is not None or known.state not in {"accepted", "rejected"}:
        return known.held is not None
    return known.opted_out_at is not None or known.sms_opted_out_at is not None
