"""docs/reference/consent.md: what of a member's consent is sent, in every combination of what may be known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

from ometria_provider.delivery.consent import FORBIDDING, OPTED_IN, OPTED_OUT, Facts, decide, opts_out
from ometria_provider.delivery.digests import digest, encode
from ometria_provider.mapping.fields import CONSENT

from reference import markdown

ANY = "any"

#: What may be known, and the heads of the table's columns; the most telling question first.
DIMENSIONS: dict[str, tuple[str, ...]] = {
    "the record": ("is fine", "is rejected for another field"),
    "Antavo says now": ("opted out", "opted in", "not specified", "nothing"),
    "this attempt": (
        "is the first",
        "is a retry: unanswered before",
        "is a retry: acknowledged before",
        "is cleared, after a newer run",
    ),
    "sent before": ("nothing", "an opt-in", "an opt-out"),
    "in Ometria": ("nobody unsubscribed", "the member unsubscribed"),
    "the consent time": ("is not newer", "is newer than every opt-out"),
    "force_opt_out": ("false", "true"),
}

_WORDS = {"opted out": OPTED_OUT, "opted in": OPTED_IN, "not specified": "NOT_SPECIFIED"}
_NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_NEWER = (_NOON + timedelta(hours=2)).isoformat()

Case = Mapping[str, str]


def cases() -> Iterator[dict[str, str]]:
    """Yield every combination."""
    for values in product(*DIMENSIONS.values()):
        yield dict(zip(DIMENSIONS, values, strict=True))


def outcome(case: Case) -> str:
    """Return what becomes of one combination, by the function that decides in a run."""
    made = _group(case)
    if not made:
        return "nothing of consent"
    group = encode(made)
    decision = decide(group, _facts(case, group))
    alone = case["the record"] != "is fine"
    if decision.group is not None:
        word = "opt-out" if opts_out(decision.group)[0] else "opt-in" if b"OPTEDIN" in decision.group else "the word"
        forced = ", forced" if b"@force_optin" in decision.group else ""
        return f"**{word} goes{' alone with the identity' if alone else ' with the record'}{forced}**"
    if decision.held:
        return f"held back: {decision.held.partition(': ')[2].partition(',')[0]}"
    return "nothing of consent"


def _group(case: Case) -> dict[str, Any]:
    word = _WORDS.get(case["Antavo says now"])
    if word is None:
        return {}
    newer = case["the consent time"].startswith("is newer")
    times = {"timestamp_subscribed": _NEWER} if newer else {}
    forced = {"@force_optin": True} if word == OPTED_OUT and case["force_opt_out"] == "true" else {}
    return {"marketing_optin": word, **times, **forced}


def _facts(case: Case, group: bytes) -> Facts:
    """Return what the ledger says: an opt-out that is on its way is known, though nobody knows whether it arrived."""
    attempt, before = case["this attempt"], case["sent before"]
    opted_out, last = before == "an opt-out", None if before == "nothing" else digest(b"another group")
    if attempt == "is a retry: unanswered before" and opts_out(group)[0]:
        opted_out, last = True, None
    if attempt == "is a retry: acknowledged before":
        last = digest(group)
    return Facts(
        last=last,
        opted_out_at=_NOON if opted_out else None,
        unsubscribed_at=_NOON + timedelta(hours=1) if case["in Ometria"] == "the member unsubscribed" else None,
        rejected=case["the record"] != "is fine",
        overtaken=attempt == "is cleared, after a newer run",
    )


def rows() -> list[tuple[str, ...]]:
    """Return the table: each row a set of combinations with one outcome, each combination in exactly one row."""
    return [(*(" or ".join(values) for values in wanted), said) for wanted, said in _rows(list(DIMENSIONS), {})]


def _rows(left: Sequence[str], fixed: dict[str, str]) -> list[tuple[list[tuple[str, ...]], str]]:
    """Return the rows below some fixed answers; a question whose answer does not matter is `any`."""
    if not left:
        return [([], outcome(fixed))]
    name, rest = left[0], left[1:]
    found: list[tuple[list[str], list[tuple[list[tuple[str, ...]], str]]]] = []
    for value in DIMENSIONS[name]:
        below = _rows(rest, {**fixed, name: value})
        same = next((values for values, known in found if known == below), None)
        if same is None:
            found.append(([value], below))
        else:
            same.append(value)
    every = len(DIMENSIONS[name])
    return [
        ([(ANY,) if len(values) == every else tuple(values), *wanted], said)
        for values, below in found
        for wanted, said in below
    ]


def covers(row: Sequence[str], case: Case) -> bool:
    """Say whether a row of the table speaks of a combination."""
    return all(
        cell == ANY or case[name] in cell.split(" or ") or case[name] == cell
        for name, cell in zip(DIMENSIONS, row, strict=False)
    )


_INTRO = f"""\
Consent is five remote fields and one directive: {", ".join(map(markdown.code, CONSENT))}, `@force_optin`. They make one
group. It has a digest of its own in the ledger, and travels only when it differs from the group that Ometria
acknowledged last; then the whole record goes with it, so that an opt-in and its timestamp arrive together. When only
something else changed, the record goes without the group. A mapping without these fields never sends consent.
[How to map consent](../how-to/consent.md)."""

_EMPTY = [
    ("`marketing_optin`", "left out: null might take an opt-out back. `NOT_SPECIFIED` says it in so many words"),
    ("`timestamp_subscribed`, `timestamp_unsubscribed`", "left out: what happened then still happened"),
    ("`channels.sms.*`", "left out: no answer is neither yes nor no"),
]

_RULES = f"""\
- **Opt-out**: `marketing_optin: {OPTED_OUT}`, or false in `channels.sms.*`. Nothing holds one back. When the record is
  rejected for another field (by the mapping, a rule, its size, or Ometria's refusal), identity and opt-out go alone,
  without the fields at fault; the member still counts as rejected. Only an unusable `id` stops it, and a rejection at
  `marketing_optin` says so.
- **Opt-in**: `marketing_optin: {OPTED_IN}`, or true in `channels.sms.*`. `NOT_SPECIFIED` opts nobody in, but would take
  an opt-out back, and is held back like one after an opt-out.
- **Opt-outs that are known**: those we sent (`contact_state.opted_out_at`, from the moment the request is about to go,
  and kept whatever becomes of it), and unsubscribes in Ometria (`unsubscribe`), matched by the e-mail address, and by
  the contacts, customer id and e-mail of the profile that they name.
- **Newer**: `timestamp_subscribed` is mapped, and later than every opt-out that is known.
- **Held back**: the rest of the record goes; of the group only its opt-outs do. It is looked at again in each run, and
  shown by `ometria-sync show RUN` and `trace CUSTOMER`.
- Opt-ins are held back also while the member's Antavo status is {", ".join(sorted(FORBIDDING))}, and while
  Ometria's unsubscribes could not all be read.
- SMS: an opt-out of marketing holds back SMS too; an opt-out of SMS holds back SMS alone."""


def page() -> str:
    """Return the page."""
    return markdown.page(
        "Consent",
        "plugins/ometria_provider/delivery/consent.py",
        _INTRO,
        "## Empty fields\n\nNone of the group is ever sent as null, whatever `on_empty` says.\n\n"
        + markdown.table(("when it becomes empty", "what happens"), _EMPTY),
        "## Rules\n\n" + _RULES,
        "## Every combination\n\n"
        f"The {len(list(cases())):,} combinations for a group that is not the one acknowledged last, each run through "
        "the function that decides. A question whose answer changes nothing is `any`.\n\n"
        + markdown.table((*DIMENSIONS, "what is sent"), rows()),
    )
