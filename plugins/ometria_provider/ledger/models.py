"""The ledger's tables: what was read, sent, accepted and rejected, and what Ometria is known to hold.

No personal data beyond ids: records are kept as digests, rejections as field names and reasons.
Times are UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time: stored in UTC, and always aware when it comes back (SQLite forgets the zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 (SQLAlchemy's signature)
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the ledger takes aware datetimes only")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 (SQLAlchemy's signature)
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Names every constraint, so that migrations on both databases can find them again."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads it so)
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[Any]: JSON,
    }


# SQLite counts rows only in a column of type INTEGER; PostgreSQL wants 64 bits.
BigId = BigInteger().with_variant(Integer, "sqlite")


class SyncRun(Base):
    """One DAG run of one mapping. Clearing the DAG run continues its row."""

    __tablename__ = "sync_run"
    __table_args__ = (UniqueConstraint("dag_id", "run_id"), Index(None, "mapping", "id"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    dag_id: Mapped[str] = mapped_column(String(250))
    run_id: Mapped[str] = mapped_column(String(250))
    mapping: Mapped[str] = mapped_column(String(200))
    account: Mapped[str | None] = mapped_column(String(200))
    collection: Mapped[str | None] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(Text)
    strategy: Mapped[str] = mapped_column(String(20))
    dry_run: Mapped[bool]
    read: Mapped[int] = mapped_column(BigInteger, default=0)
    unchanged: Mapped[int] = mapped_column(BigInteger, default=0)
    filtered: Mapped[int] = mapped_column(BigInteger, default=0)
    rejected: Mapped[int] = mapped_column(BigInteger, default=0)
    sent: Mapped[int] = mapped_column(BigInteger, default=0)
    accepted: Mapped[int] = mapped_column(BigInteger, default=0)
    pending: Mapped[int] = mapped_column(BigInteger, default=0)
    departed: Mapped[int] = mapped_column(BigInteger, default=0)
    # As planned: a cleared task works with these, whatever the files say by then.
    # The run whose undelivered members this one tries again.
    retry_of: Mapped[int | None] = mapped_column(BigInteger)
    unverified: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    planned_mapping: Mapped[str | None] = mapped_column(Text)
    planned_suite: Mapped[str | None] = mapped_column(Text)
    plan: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class SyncStep(Base):
    """One task of a run on one slice: how long it took and what it counted. Slice -1 is the whole run."""

    __tablename__ = "sync_step"

    sync_run_id: Mapped[int] = mapped_column(BigId, ForeignKey("sync_run.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[str] = mapped_column(String(20), primary_key=True)
    slice: Mapped[int] = mapped_column(Integer, primary_key=True)
    state: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(Text)
    facts: Mapped[dict[str, Any]]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Approval(Base):
    """What a run asked a person for at its gate, and the answer. Asking again replaces it."""

    __tablename__ = "approval"

    sync_run_id: Mapped[int] = mapped_column(BigId, ForeignKey("sync_run.id", ondelete="CASCADE"), primary_key=True)
    asked_at: Mapped[datetime]
    until: Mapped[datetime]
    covers: Mapped[dict[str, Any]]
    reasons: Mapped[list[Any]]
    answer: Mapped[str | None] = mapped_column(String(20))
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[str | None] = mapped_column(String(250))


class PushBatch(Base):
    """One push request: written before it goes, and again when its answer came. The push's checkpoint.

    `started_at` is when it was written, before it waited for its slot: never later than the request went, so that no
    late error is taken for an older one. It measures no delay.
    """

    __tablename__ = "push_batch"
    __table_args__ = (Index(None, "sync_run_id", "slice"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    sync_run_id: Mapped[int] = mapped_column(BigId, ForeignKey("sync_run.id", ondelete="CASCADE"))
    slice: Mapped[int] = mapped_column(Integer)
    records: Mapped[int] = mapped_column(Integer)
    size: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(String(20), default="contacts", server_default="contacts")
    state: Mapped[str] = mapped_column(String(20))
    request_id: Mapped[str | None] = mapped_column(String(200))
    reason: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class ContactState(Base):
    """What is known of one contact: the digest of the record last acknowledged, and where it stands.

    `fingerprint`, `filled` and `snapshot_at` speak of the record last acknowledged; `source_digest` of the customer
    (and mapping) last looked at, whatever became of it.
    """

    __tablename__ = "contact_state"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 (SQLAlchemy's own form)

    account: Mapped[str] = mapped_column(String(200), primary_key=True)
    collection: Mapped[str] = mapped_column(String(200), primary_key=True)
    contact_id: Mapped[str] = mapped_column(String(250), primary_key=True)
    state: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(Text)
    fingerprint: Mapped[bytes | None] = mapped_column(LargeBinary)
    source_digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    filled: Mapped[bytes | None] = mapped_column(LargeBinary)
    snapshot_at: Mapped[datetime | None]
    sync_run_id: Mapped[int] = mapped_column(BigInteger)
    push_batch_id: Mapped[int | None] = mapped_column(BigInteger)
    changed_at: Mapped[datetime]
    consent_digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    opted_out_at: Mapped[datetime | None]
    sms_opted_out_at: Mapped[datetime | None]
    held: Mapped[str | None] = mapped_column(String(250))
    details_at: Mapped[datetime | None]
    absent_run_id: Mapped[int | None] = mapped_column(BigInteger)
    list_id: Mapped[int | None] = mapped_column(BigInteger)
    suspect: Mapped[str | None] = mapped_column(String(250))


class RemoteField(Base):
    """A remote field: its bit in `contact_state.filled`, handed out once and never reused, and whether it arrives."""

    __tablename__ = "remote_field"
    __table_args__ = (UniqueConstraint("account", "collection", "bit"),)

    account: Mapped[str] = mapped_column(String(200), primary_key=True)
    collection: Mapped[str] = mapped_column(String(200), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    bit: Mapped[int] = mapped_column(Integer)
    silent: Mapped[bool] = mapped_column(default=False, server_default=false())


class Rejection(Base):
    """One record that a run did not deliver: which stage refused it, for which field, and why. Never a value."""

    __tablename__ = "rejection"
    __table_args__ = (Index(None, "sync_run_id", "slice", "stage"), Index(None, "contact_id"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    sync_run_id: Mapped[int] = mapped_column(BigId, ForeignKey("sync_run.id", ondelete="CASCADE"))
    slice: Mapped[int] = mapped_column(Integer)
    contact_id: Mapped[str] = mapped_column(String(250))
    stage: Mapped[str] = mapped_column(String(20))
    field: Mapped[str | None] = mapped_column(String(250))
    reason: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]


class RuleResult(Base):
    """What one validation rule found in one slice: how many failed, and the first thousand ids."""

    __tablename__ = "rule_result"
    __table_args__ = (Index(None, "sync_run_id", "slice"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    sync_run_id: Mapped[int] = mapped_column(BigId, ForeignKey("sync_run.id", ondelete="CASCADE"))
    slice: Mapped[int] = mapped_column(Integer)
    rule: Mapped[str] = mapped_column(String(250))
    kind: Mapped[str] = mapped_column(String(10))
    severity: Mapped[str] = mapped_column(String(20))
    failed: Mapped[int] = mapped_column(BigInteger)
    contact_ids: Mapped[list[Any]]
    detail: Mapped[str | None] = mapped_column(Text)


class RateSlot(Base):
    """When the next request of an account may go, in seconds since 1970 by the database's clock."""

    __tablename__ = "rate_budget"

    account: Mapped[str] = mapped_column(String(200), primary_key=True)
    bucket: Mapped[str] = mapped_column(String(20), primary_key=True)
    next_at: Mapped[float] = mapped_column(Double)


class Cursor(Base):
    """How far something was read from an account: changed customers, events, unsubscribes."""

    __tablename__ = "cursor"

    account: Mapped[str] = mapped_column(String(200), primary_key=True)
    collection: Mapped[str] = mapped_column(String(200), primary_key=True)
    name: Mapped[str] = mapped_column(String(250), primary_key=True)
    at: Mapped[datetime]
    sync_run_id: Mapped[int] = mapped_column(BigInteger)


class ErrorLook(Base):
    """The last look at an account's error log: what it held, as message, path and count."""

    __tablename__ = "error_look"

    account: Mapped[str] = mapped_column(String(200), primary_key=True)
    looked_at: Mapped[datetime]
    entries: Mapped[list[Any]]


class LateError(Base):
    """An error that Ometria's log gained between two looks. Whose it is the log does not say."""

    __tablename__ = "late_error"
    __table_args__ = (Index(None, "account", "until"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account: Mapped[str] = mapped_column(String(200))
    since: Mapped[datetime]
    until: Mapped[datetime]
    message: Mapped[str] = mapped_column(Text)
    path: Mapped[str] = mapped_column(String(250))
    count: Mapped[int] = mapped_column(Integer)
    overflow: Mapped[bool]


class Unsubscribe(Base):
    """Somebody unsubscribed in Ometria: who, as a digest of what the person is known by, and when."""

    __tablename__ = "unsubscribe"

    account: Mapped[str] = mapped_column(String(200), primary_key=True)
    who: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    at: Mapped[datetime]


class InboxEvent(Base):
    """An Antavo event that a workflow waits for, kept once however often and however it came."""

    __tablename__ = "event_inbox"
    __table_args__ = (
        UniqueConstraint("event_id", "account"),
        Index(None, "customer_id"),
        # Of those not done, as the migration says: said here, it would import PostgreSQL's dialect everywhere.
        Index("ix_event_inbox_undone", "account", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account: Mapped[str] = mapped_column(String(200))
    event_id: Mapped[str] = mapped_column(String(250))
    action: Mapped[str] = mapped_column(String(250))
    customer_id: Mapped[str | None] = mapped_column(String(250))
    occurred_at: Mapped[datetime | None]
    received_at: Mapped[datetime]
    source: Mapped[str] = mapped_column(String(20))
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    done_at: Mapped[datetime | None]


class EventDelivery(Base):
    """What became of an event for one workflow."""

    __tablename__ = "event_delivery"
    __table_args__ = (
        UniqueConstraint("event_id", "account", "workflow"),
        Index(None, "run_id"),
        Index(None, "workflow", "state", "id"),
        Index(None, "workflow", "id"),
        Index("ix_event_delivery_undone", "account", "id"),  # of those to be delivered
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account: Mapped[str] = mapped_column(String(200))
    event_id: Mapped[str] = mapped_column(String(250))
    workflow: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(Text)
    custom_event_id: Mapped[str | None] = mapped_column(String(250))
    run_id: Mapped[str | None] = mapped_column(String(250))
    attempts: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    acknowledged_at: Mapped[datetime | None]


class CampaignRun(Base):
    """What a campaign run that had something to deliver found beside what became of each event."""

    __tablename__ = "campaign_run"
    __table_args__ = (Index(None, "ended_at"),)

    account: Mapped[str] = mapped_column(String(200), primary_key=True)
    run_id: Mapped[str] = mapped_column(String(250), primary_key=True)
    facts: Mapped[dict[str, Any]]
    ended_at: Mapped[datetime]


class WebhookToken(Base):
    """A signed token of a webhook that was used, until it expires: it is good for one event."""

    __tablename__ = "webhook_token"
    __table_args__ = (Index(None, "expires_at"),)

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    event_id: Mapped[str] = mapped_column(String(250))
    expires_at: Mapped[datetime]


class WebhookRefusal(Base):
    """A webhook that was refused though its sender is known: the token had expired, or was another event's."""

    __tablename__ = "webhook_refusal"
    __table_args__ = (Index(None, "event_id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account: Mapped[str] = mapped_column(String(200))
    event_id: Mapped[str] = mapped_column(String(250))
    reason: Mapped[str] = mapped_column(Text)
    refused_at: Mapped[datetime]


class CachedReward(Base):
    """A reward as Antavo gave it last, for the runs of the next minutes. No member's data is in it."""

    __tablename__ = "cached_reward"

    account: Mapped[str] = mapped_column(String(200), primary_key=True)
    reward_id: Mapped[str] = mapped_column(String(250), primary_key=True)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    read_at: Mapped[datetime]


class Incident(Base):
    """Something that was wrong with a DAG of ours, and whether people were told of its beginning and its end."""

    __tablename__ = "incident"
    # One that is not over at a time, as the migration says: said here, it would import PostgreSQL's dialect everywhere.
    __table_args__ = (Index("ix_incident_open", "dag_id", "topic", unique=True),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    dag_id: Mapped[str] = mapped_column(String(250))
    topic: Mapped[str] = mapped_column(String(20))
    kind: Mapped[str] = mapped_column(String(20))
    sync_run_id: Mapped[int | None] = mapped_column(BigInteger)
    words: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime]
    claimed_at: Mapped[datetime | None]
    told_at: Mapped[datetime | None]
    over_at: Mapped[datetime | None]
    over_told_at: Mapped[datetime | None]
    failure: Mapped[str | None] = mapped_column(Text)


class WatchedSchedule(Base):
    """A schedule that is watched, and since when: a sync that never ran is late from then on."""

    __tablename__ = "watched_schedule"

    dag_id: Mapped[str] = mapped_column(String(250), primary_key=True)
    schedule: Mapped[str] = mapped_column(String(200))
    timezone: Mapped[str] = mapped_column(String(100))
    since: Mapped[datetime]


class Installation(Base):
    """A version of this package that works on a machine, as what, and since when."""

    __tablename__ = "installation"

    host: Mapped[str] = mapped_column(String(250), primary_key=True)
    role: Mapped[str] = mapped_column(String(20), primary_key=True)
    version: Mapped[str] = mapped_column(String(50), primary_key=True)
    first_seen_at: Mapped[datetime]
    seen_at: Mapped[datetime]
