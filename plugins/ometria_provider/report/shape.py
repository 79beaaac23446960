"""What a report holds: plain data, that pages and programs read as it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ometria_provider.ledger.approvals import ApprovalRow
from ometria_provider.ledger.campaign_facts import ApiUse
from ometria_provider.ledger.history import BatchRow, RunRow
from ometria_provider.ledger.rejections import RejectionGroup, RuleRow


@dataclass(frozen=True)
class BookCounts:
    """Where the members of a run ended.

    :param new: rejected members that this run rejected itself; `remembered` ones were rejected before.
    :param to_send: records that were ready to be sent.
    :param already: records of `accepted` that an earlier attempt of this run had sent.
    """

    read: int
    unchanged: int
    filtered: int
    rejected: int
    new: int
    remembered: int
    to_send: int
    sent: int
    accepted: int
    already: int
    pending: int


@dataclass(frozen=True)
class StepTime:
    """One step, its slices together.

    :param seconds: from the first start to the last end; None while it works.
    """

    step: str
    state: str
    slices: int
    seconds: float | None
    started_at: datetime
    reason: str | None


@dataclass(frozen=True)
class DryRun:
    """What a run would have done.

    :param cleared: members who would lose a value, by remote field.
    :param to_approve: what a real run would ask a person for.
    """

    created: int
    changed: int
    unchanged: int
    rejected: int
    to_send: int
    cleared: dict[str, int]
    to_approve: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Ended:
    """Where some of the members whom a run rejected stand by now.

    :param state: as `ledger.undelivered.Ending` has it.
    :param run: the run that delivered or judged them last.
    """

    members: int
    state: str
    run: int | None
    words: str


@dataclass(frozen=True)
class Departures:
    """Members who left.

    :param done: how many of them the run handled; none in a dry run.
    :param reasons: how many left, by reason.
    :param missing: contacts that were not read for the first time; they stay.
    :param first_missing: a few of their ids.
    :param refused: records that Ometria refused.
    """

    done: int
    reasons: dict[str, int]
    missing: int
    refused: int
    first_missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class ByReason:
    """Members whose opt-in did not go, or whom `where` left out, for one reason.

    :param first_ids: a few of their contact ids.
    """

    reason: str
    members: int
    first_ids: tuple[str, ...]


@dataclass(frozen=True)
class LateErrors:
    """One kind of error that Ometria's log gained while records of this run were on their way.

    :param count: how often it came.
    :param unexplained: how many of them no record of this run explains: another sender's, or not found yet.
    """

    message: str
    path: str
    count: int
    unexplained: int


@dataclass(frozen=True)
class Verification:
    """What reading back found.

    :param read_back: contacts that were read.
    :param convicted: records that did not arrive.
    :param unverified: accepted records under suspicion that nobody had the time to read back.
    :param sampled: delivered records that were read field by field, after the mapping changed.
    :param missing: fields that arrived in none of those, each with how many carried it.
    :param overflow: more errors came than the log holds.
    """

    read_back: int
    convicted: int
    unverified: int
    sampled: int
    missing: dict[str, int]
    errors: list[LateErrors]
    unexplained: int
    overflow: bool


@dataclass(frozen=True)
class RunReport:
    """Everything that the ledger knows of one run.

    :param limits: a sentence for each limit or table rule that stopped the run.
    :param remembered_from: the earlier run that shows why remembered members were rejected.
    :param ended: where those whom it rejected stand by now, once anything became of them.
    :param left_out: whom the mapping's `where` left out, by its rules.
    :param held_back: opt-ins that opting out, or the member's status, held back.
    :param opt_outs: rejected members whose opt-out went alone.
    :param unknown: chosen members whom Antavo does not have; `unknown_ids`: the first thousand.
    :param approval: what it asked a person for, and the answer.
    """

    run: RunRow
    books: BookCounts
    steps: list[StepTime]
    rejections: list[RejectionGroup]
    rules: list[RuleRow]
    apis: list[ApiUse]
    dry_run: DryRun | None
    limits: list[str]
    doubtful: list[BatchRow]
    remembered_from: int | None
    departures: Departures
    ended: list[Ended] = field(default_factory=list)
    left_out: list[ByReason] = field(default_factory=list)
    held_back: list[ByReason] = field(default_factory=list)
    opt_outs: int = 0
    unknown: int = 0
    unknown_ids: list[str] = field(default_factory=list)
    verification: Verification | None = None
    approval: ApprovalRow | None = None
    next: list[str] = field(default_factory=list)
