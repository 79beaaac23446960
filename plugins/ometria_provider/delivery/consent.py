"""What of a member's consent is sent: opting out always wins (design.md, promise 5; contract/ometria.md, "Consent").

The consent group of a record is `marketing_optin`, its two timestamps, `channels.sms.*` and `@force_optin`. It is made
and compared apart from the rest, and spliced into the record only when it goes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from ometria_provider.delivery.digests import SIZE, digest, encode

Group = dict[str, Any]

OPTED_IN, OPTED_OUT = "EXPLICITLY_OPTEDIN", "EXPLICITLY_OPTEDOUT"

#: Statuses in Antavo with which a member is not opted in: they may not take part, or are somebody else by now.
FORBIDDING = frozenset(("banned", "suspended", "merged"))

AFTER_OPT_OUT = "opt-in held back: we sent an opt-out, and no newer timestamp_subscribed is mapped"
AFTER_UNSUBSCRIBE = "opt-in held back: unsubscribed in Ometria, and no newer timestamp_subscribed is mapped"
BY_STATUS = "opt-in held back: the member's status in Antavo forbids it"
OUT_BY_US = "opted out: the consent last sent was an opt-out"
OUT_IN_ANTAVO = "opted out in Antavo"
UNSUBSCRIBED = "unsubscribed in Ometria"

UNSURE = "opt-in held back: not all unsubscribes in Ometria are known yet"

_IDENTITY = ("@type", "@collection", "@merge", "id", "email", "customer_id")
_MARKETING = ("marketing_optin", "timestamp_subscribed", "@force_optin")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a member's consent beside the group that the mapping made.

    :param last: digest of the group that Ometria acknowledged last.
    :param opted_out_at: when we sent that the member opted out of marketing.
    :param sms_opted_out_at: the same of SMS.
    :param unsubscribed_at: when the member unsubscribed in Ometria itself.
    :param status: in Antavo, lower case.
    :param unsure: not all unsubscribes in Ometria could be read.
    :param rejected: the record is not sent, because of another field.
    :param overtaken: a newer snapshot of the member was acknowledged, or a newer run compared the member.
    """

    last: bytes | None = None
    opted_out_at: datetime | None = None
    sms_opted_out_at: datetime | None = None
    unsubscribed_at: datetime | None = None
    status: str | None = None
    unsure: bool = False
    rejected: bool = False
    overtaken: bool = False


class Decision(NamedTuple):
    """What becomes of a consent group.

    :param group: what is sent of it as JSON, with the record (alone with the identity when that is rejected); None: it
        stays at home.
    :param held: why an opt-in was held back.
    """

    group: bytes | None
    held: str | None


def decide(group: bytes, facts: Facts) -> Decision:
    """Decide what is sent of a member's consent group.

    Opt-outs always are. An opt-in is held back after an opt-out, unless a consent time that is newer is mapped; nothing
    at all goes when it is what Ometria acknowledged last, or when something newer was.
    """
    if facts.overtaken or digest(group) == facts.last:
        return Decision(None, None)
    wanted: Group = msgspec.json.decode(group)
    at = _consent_time(wanted)
    held = _held_marketing(wanted, at, facts), _held_sms(wanted, at, facts)
    kept = _without(wanted, marketing=bool(held[0]), sms=bool(held[1]))
    if facts.rejected:
        kept, held = opt_outs(wanted), (None, None)
    sent = encode(kept) if kept else None
    return Decision(None if sent is None or digest(sent) == facts.last else sent, held[0] or held[1])


def _held_marketing(wanted: Group, at: datetime | None, facts: Facts) -> str | None:
    word = wanted.get("marketing_optin")
    if word in (None, OPTED_OUT):
        return None
    # NOT_SPECIFIED would take an opt-out back as well, but is none of a member's own words.
    reason = _after(at, facts.opted_out_at, facts.unsubscribed_at)
    return reason or (_forbidden(facts) if word == OPTED_IN else None)


def _held_sms(wanted: Group, at: datetime | None, facts: Facts) -> str | None:
    if True not in _sms(wanted).values():
        return None
    times = [time for time in (facts.opted_out_at, facts.sms_opted_out_at) if time]
    return _after(at, max(times, default=None), facts.unsubscribed_at) or _forbidden(facts)


def _after(at: datetime | None, opted_out: datetime | None, unsubscribed: datetime | None) -> str | None:
    """Return why a consent given at this time does not count any more; None when it does."""
    if opted_out is not None and (at is None or at <= opted_out):
        return AFTER_OPT_OUT
    if unsubscribed is not None and (at is None or at <= unsubscribed):
        return AFTER_UNSUBSCRIBE
    return None


def _forbidden(facts: Facts) -> str | None:
    if facts.status in FORBIDDING:
        return BY_STATUS
    return UNSURE if facts.unsure else None


def _consent_time(group: Group) -> datetime | None:
    text = group.get("timestamp_subscribed")
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _sms(group: Group) -> dict[str, Any]:
    found: dict[str, Any] = group.get("channels", {}).get("sms", {})
    return found


def _without(wanted: Group, *, marketing: bool, sms: bool) -> Group:
    """Leave the opt-ins of a channel out; timestamps that nothing is left of go with them."""
    if not (marketing or sms):
        return wanted
    kept = {name: value for name, value in wanted.items() if name not in (*_MARKETING, "channels")}
    if not marketing:
        kept |= {name: wanted[name] for name in _MARKETING if name in wanted}
    allowed = {name: value for name, value in _sms(wanted).items() if not (sms and value)}
    if allowed:
        kept["channels"] = {"sms": allowed}
    return kept if kept.keys() - {"timestamp_subscribed", "timestamp_unsubscribed"} else {}


def opt_outs(group: Group) -> Group:
    """Return what of a group opts the member out of anything; empty when nothing does."""
    out = group.get("marketing_optin") == OPTED_OUT
    if not out and False not in _sms(group).values():
        return {}
    return _without(group, marketing=not out, sms=True)


def opted_out(group: bytes | None, facts: Facts) -> str | None:
    """Return why a member gets no marketing; None: nothing is known against it.

    An opt-in counts again when it is newer than the refusal, and Ometria has acknowledged it.

    :param group: the consent group that the mapping makes of the member today; None: it says nothing.
    """
    wanted: Group = msgspec.json.decode(group) if group else {}
    if wanted.get("marketing_optin") == OPTED_OUT:
        return OUT_BY_US if facts.opted_out_at else OUT_IN_ANTAVO
    refusals = [at for at in (facts.opted_out_at, facts.unsubscribed_at) if at]
    if not refusals:
        return None
    at = _consent_time(wanted)
    if group is not None and digest(group) == facts.last and at is not None and at > max(refusals):
        return None
    return OUT_BY_US if facts.opted_out_at else UNSUBSCRIBED


def opts_out(group: bytes) -> tuple[bool, bool]:
    """Say whether an encoded group opts out of marketing, and of SMS: its only booleans are SMS's and a true force."""
    return b'"EXPLICITLY_OPTEDOUT"' in group, b":false" in group


def may_opt_in(group: bytes) -> bool:
    """Say whether an encoded group may need an opt-in held back; one that opts out of everything does not."""
    return b'"EXPLICITLY_OPTEDIN"' in group or b'"NOT_SPECIFIED"' in group or b'":true}' in group or b":true," in group


def who(account: str, kind: str, name: str) -> bytes:
    """Return the digest by which the ledger knows a person: it holds no e-mail.

    :param kind: `email` (in any case), `profile`, `customer` or `contact` (collection and id).
    """
    text = name.strip().lower() if kind == "email" else name
    key = blake2b(account.encode(), digest_size=32).digest()
    return blake2b(f"{kind}:{text}".encode("utf-8", "surrogatepass"), digest_size=SIZE, key=key).digest()


def splice(body: bytes, group: bytes | None) -> bytes:
    """Return a record with its consent group, neither encoded a second time. Neither is empty."""
    return body if group is None else body[:-1] + b"," + group[1:]


def alone(body: bytes, group: bytes, without: Iterable[str] = ()) -> bytes:
    """Return a record with nothing but who it is and how it opted out.

    :param body: the whole record, or its identity alone.
    :param without: identity fields that are at fault.
    """
    left_out = set(without)
    record: Group = msgspec.json.decode(body)
    return splice(encode({name: record[name] for name in _IDENTITY if name in record and name not in left_out}), group)
