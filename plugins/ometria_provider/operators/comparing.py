"""What a run would change: records that are to be sent, each beside the contact that Ometria holds now.

Pages and the command line show the same. The values are members' data: whoever calls this shows them to those only who
may see them, and keeps them nowhere.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ometria_provider.delivery.consent import splice
from ometria_provider.delivery.readback import CONSENT, Change, changes
from ometria_provider.ledger import contacts, run_steps, runs
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.run_steps import StepRow, total
from ometria_provider.mapping.model import Mapping
from ometria_provider.operators.accounts import ometria_hook
from ometria_provider.operators.error_log import fields_of
from ometria_provider.operators.previewing import Previewed
from ometria_provider.staging.store import RunStore

if TYPE_CHECKING:
    from ometria_provider.hooks.ometria import OmetriaHook

#: Members that are compared: each costs a request of the account's data limit (4 a second).
SAMPLE = 10

#: Chunks of staging that a sample comes from, at most: each is read as a whole.
CHUNKS = 3


class Candidate(NamedTuple):
    """A record that would be sent."""

    contact_id: str
    record: dict[str, Any]


@dataclass(frozen=True)
class Member:
    """One member before and after.

    :param is_new: Ometria has no such contact yet.
    """

    contact_id: str
    is_new: bool
    fields: list[Change]

    @property
    def differing(self) -> list[Change]:
        """The fields that would not stay as they are."""
        return [each for each in self.fields if each.kind != "same"]

    def without_values(self) -> Member:
        """Return it for somebody who may not see members' values: field names, and what would become of them."""
        return replace(self, fields=[replace(each, before=None, after=None) for each in self.fields])


@dataclass(frozen=True)
class FieldCount:
    """What would become of one field.

    :param set: sampled members who had no value and would get one.
    :param changed: sampled members whose value would be another.
    :param emptied: sampled members who would lose theirs.
    :param emptied_in_all: all members of the run who would lose theirs; None: nobody counted.
    """

    field: str
    set: int
    changed: int
    emptied: int
    emptied_in_all: int | None

    @property
    def is_moving(self) -> bool:
        """Whether anybody's value would be another."""
        return bool(self.set or self.changed or self.emptied or self.emptied_in_all)


@dataclass(frozen=True)
class Comparison:
    """A sample of members before and after.

    :param to_send: records of which the sample is one; None: nobody counted.
    """

    to_send: int | None
    members: list[Member]
    fields: list[FieldCount]


def compare(
    mapping: Mapping,
    candidates: Iterable[Candidate],
    hook: OmetriaHook,
    *,
    to_send: int | None = None,
    emptied: dict[str, int] | None = None,
) -> Comparison:
    """Read the contacts of some records and put them side by side.

    :param emptied: how many members of the whole run would lose a value, by remote field; None: nobody counted.
    """
    fields, members = fields_of(mapping), []
    counts: dict[str, Counter[str]] = {}
    for contact_id, record in candidates:
        contact = hook.contact(mapping.collection, contact_id)
        found = changes(record, contact, fields)
        members.append(Member(contact_id, contact is None, found))
        for each in found:
            counts.setdefault(each.field, Counter())[each.kind] += 1
    named = [name for name in mapping.remotes if name in counts or name in (emptied or {})]
    return Comparison(to_send, members, [_count(name, counts.get(name, Counter()), emptied) for name in named])


def _count(name: str, kinds: Counter[str], emptied: dict[str, int] | None) -> FieldCount:
    in_all = None if emptied is None else emptied.get(name, 0)
    return FieldCount(name, kinds["set"], kinds["changed"], kinds["emptied"], in_all)


def of_members(mapping: Mapping, members: Iterable[Previewed], hook: OmetriaHook, ledger: Ledger | None) -> Comparison:
    """Compare what live members would be sent with what Ometria holds now: before any run.

    Which of its values Ometria got from us is known of contacts that a run delivered; of those all values that went
    away are cleared, as a run does it with those that it filled itself.
    """
    from ometria_provider.mapping.layout import clear_fields

    made = [(member.customer, member.record) for member in members if member.record is not None]
    ids = [str(record["id"]) for _, record in made]
    of = (mapping.connections.ometria, mapping.collection)
    known = contacts.known_contacts(ledger, *of, ids) if ledger else {}
    rows = [remote for remote in mapping.remotes if remote not in CONSENT]
    candidates = []
    for id_, (_, record) in zip(ids, made, strict=True):
        before = known.get(id_)
        clears = mapping.on_empty == "clear" and before is not None and before.fingerprint is not None
        candidates.append(Candidate(id_, clear_fields(record, rows, mapping.mode) if clears else record))
    return compare(mapping, candidates, hook)


def of_run(ledger: Ledger, run: runs.Run, staging_path: str, *, sample: int = SAMPLE, **options: Any) -> Comparison:
    """Compare some of the records that a run is to send, or would have sent, with what Ometria holds now.

    :param options: of the hook: `attempts`, `first_wait`.
    :raises Misconfigured: when the run's staging is gone.
    """
    mapping = Mapping.model_validate_json(run.mapping_json or "")
    steps = run_steps.in_force(run_steps.steps(ledger, run.id))
    emptied: Counter[str] = Counter()
    for step in steps:
        emptied.update(step.facts.get("cleared") or {} if step.step == "map" else {})
    candidates = staged(RunStore(staging_path, run.mapping, run.id), steps, sample)
    to_send = total(steps, "map", "to_send") - total(steps, "validate", "rejected")
    hook = ometria_hook(ledger, mapping.connections.ometria, **options)
    return compare(mapping, candidates, hook, to_send=to_send, emptied=dict(emptied))


def staged(store: RunStore, steps: Sequence[StepRow], sample: int) -> list[Candidate]:
    """Return some of the records that a run has ready, at random, from a few chunks of its staging."""
    slices = [store.slice(index) for index in range(total(list(steps), "plan", "slices"))]
    chunks = [
        (files, index)
        for files in slices
        if files.has("map") and files.has("validate")
        for index, chunk in enumerate(files.read_manifest("map")["chunks"])
        if chunk["mapped"]
    ]
    found: list[Candidate] = []
    for files, index in random.sample(chunks, len(chunks))[:CHUNKS]:
        ready = files.read_ready(index, ["contact_id", "body", "consent"]).to_pylist()
        for row in random.sample(ready, min(sample, len(ready))):
            record = msgspec.json.decode(splice(row["body"], row["consent"]))
            found.append(Candidate(row["contact_id"], record))
    return random.sample(found, min(sample, len(found)))
