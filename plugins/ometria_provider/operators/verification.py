"""What reconcile does when records were sent, or are in doubt: wait, look, read back, count."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from functools import cached_property
from time import monotonic
from typing import Any, NamedTuple

from ometria_provider.delivery.consent import splice
from ometria_provider.delivery.error_log import ANYWHERE
from ometria_provider.delivery.readback import CONSENT, Arrivals, Record
from ometria_provider.delivery.suspects import concerning, join
from ometria_provider.ledger import batches, contacts, error_looks, findings, late, rejections, remote_fields, run_steps
from ometria_provider.ledger.error_looks import ErrorRow
from ometria_provider.ledger.late import Standing
from ometria_provider.operators.accounts import ometria_hook
from ometria_provider.operators.base import Work
from ometria_provider.operators.doubts import Doubts, Item
from ometria_provider.operators.error_log import fields_of, look_until_quiet
from ometria_provider.operators.readback import Reader

#: Delivered records that are read back after the mapping changed, or with `verify: sample`.
SAMPLE = 20

#: Kinds of errors that a report lists.
LISTED = 10


class Row(NamedTuple):
    """A record in a map file, and where its contact stands.

    :param body: the record, with the consent group that went with it.
    """

    slice: int
    body: bytes
    consent: bytes | None
    filled: bytes
    standing: Standing

    @property
    def item(self) -> Item:
        """What is to be read back."""
        at = self.standing
        paths = None if at.suspect in (late.UNRECONCILED, late.UNREAD) else at.suspect
        return Item(at.contact_id, self.body, self.slice, at.batch, paths, at.state == "pending")


class Verification:
    """Finds out which of the records that Ometria acknowledged did not arrive.

    :param facts: the step's facts in the ledger; the findings go there.
    """

    def __init__(self, work: Work, facts: dict[str, Any]) -> None:
        self.work, self.facts = work, facts
        self.hook = ometria_hook(work.ledger, work.account)
        self.fields = fields_of(work.mapping)
        self.errors: list[ErrorRow] = []
        self.silent = remote_fields.silent_fields(work.ledger, work.account, work.collection)

    def settle(self) -> None:
        """Look at the error log, and accept what was acknowledged, under suspicion where an error may be about it."""
        work = self.work
        since = late.first_sent(work.ledger, work.run, work.account, work.collection)
        if since is not None:
            self._wait()
            self.errors = error_looks.errors_since(work.ledger, work.account, since)
        unread = late.UNREAD if work.mapping.verify == "full" else None
        if not self._paths and not unread:
            contacts.settle(work.ledger, work.account, work.collection)
            late.clear(work.ledger, work.account, work.collection, late.UNRECONCILED)
            return
        # Marked at once, so that none is forgotten if this is killed.
        contacts.settle(work.ledger, work.account, work.collection, suspect=late.UNRECONCILED)
        for rows in self._chunks():
            late.suspect(
                work.ledger,
                work.account,
                work.collection,
                [
                    (row.standing.contact_id, join(found) if (found := self._causes(row)) else unread)
                    for row in rows
                    if row.standing.suspect == late.UNRECONCILED or row.standing.state == "pending"
                ],
            )

    def read_back(self) -> None:
        """Read back whatever is in doubt, until the time is up."""
        reader = Reader(self.work, self.hook, self.fields, monotonic() + self.hook.verify_seconds)
        self._sample(reader)
        with Doubts() as doubts:
            began = monotonic()
            self._gather(reader, doubts)
            # The limit is for reading back alone: however long this takes, some are read.
            reader.deadline += monotonic() - began
            reader.check(doubts)
        self.facts.update(read_back=reader.read)

    def _wait(self) -> None:
        work = self.work
        pushes = [step.facts for step in run_steps.steps(work.ledger, work.run.id) if step.step == "push"]
        queued = {facts.get("queued") for facts in pushes if facts.get("requests")}
        answered = late.last_answer(work.ledger, work.run)
        look_until_quiet(work.ledger, work.account, self.hook, answered=answered, is_drained=queued == {0})

    @cached_property
    def _paths(self) -> dict[str, frozenset[str] | None]:
        """The errors' paths that may be about a record of this mapping, each with the fields (None: any record)."""
        return concerning({error.path for error in self.errors}, self.fields)

    @cached_property
    def _bits(self) -> dict[str, int]:
        work = self.work
        return remote_fields.field_bits(work.ledger, work.account, work.collection, work.mapping.remotes)

    def _causes(self, row: Row) -> list[str]:
        """Return the paths that may be about a record: of errors after it went, for a field that it carries."""
        after = {error.path for error in self.errors if error.until > row.standing.sent_at}
        return sorted(path for path in after & self._paths.keys() if self._carries(row, self._paths[path]))

    def _carries(self, row: Row, remotes: frozenset[str] | None) -> bool:
        return remotes is None or any(self._carries_field(row, remote) for remote in remotes)

    def _carries_field(self, row: Row, remote: str) -> bool:
        key = f'"{remote.rpartition(".")[2]}":'.encode()
        if remote in CONSENT:
            return row.consent is not None and key in row.consent
        # A field that the record clears is in it too.
        return _has_bit(row.filled, self._bits[remote]) or key + b"null" in row.body

    # Reading the map files

    def _chunks(self, shuffled: bool = False, sent: bool = False) -> Iterator[list[Row]]:
        """Yield the records of each chunk that the ledger still has as they were sent.

        :param shuffled: chunks in any order.
        :param sent: a few of those that were to be sent, drawn at random; else all.
        """
        for index, store, chunk in self._files(shuffled):
            names = ["contact_id", "action", "body", "fingerprint", "filled", "consent"]
            table = store.read_chunk("map", chunk, names)
            columns = zip(*(column.to_pylist() for column in table.columns), strict=True)
            rows = [row for row in columns if row[2] is not None and (not sent or row[1] == "send")]
            if sent:
                rows = random.sample(rows, min(len(rows), 3 * SAMPLE))
            at = self._standings([row[0] for row in rows])
            yield [
                Row(index, splice(body, consent), consent, filled or b"", at[id_])
                for id_, _, body, fingerprint, filled, consent in rows
                if id_ in at and at[id_].fingerprint == fingerprint
            ]

    def _files(self, shuffled: bool = False) -> Iterator[tuple[int, Any, int]]:
        """Yield slice, its store and number of each mapped chunk."""
        found = []
        for step in run_steps.steps(self.work.ledger, self.work.run.id):
            if step.step == "map" and step.state == "done":
                store = self.work.store.slice(step.slice)
                for chunk, each in enumerate(store.read_manifest("map")["chunks"]):
                    if each["mapped"]:
                        found.append((step.slice, store, chunk))
        if shuffled:
            random.shuffle(found)
        yield from found

    def _standings(self, ids: list[str]) -> dict[str, Standing]:
        return late.standings(self.work.ledger, self.work.account, self.work.collection, ids)

    # Reading back

    def _gather(self, reader: Reader, doubts: Doubts) -> None:
        """Gather the records of all slices that are in doubt: Ometria's collection is paged once for all of them."""
        work = self.work
        if late.has_open(work.ledger, work.account, work.collection):
            for rows in self._chunks():
                doubts.add(reader.readable([row.item for row in rows if _is_open(row.standing)]))

    def _sample(self, reader: Reader) -> None:
        """After the mapping changed: read a few delivered records back, and see which fields arrive at all."""
        work = self.work
        changed = (
            _digest(late.last_delivery(work.ledger, work.run, work.account, work.collection)) != work.mapping.digest
        )
        chosen = self._draw() if changed or work.mapping.verify in ("sample", "full") else []
        found: list[tuple[Item, Record | None]] = []
        if chosen:
            arrivals, found = reader.sample(chosen)
            self._note(arrivals)
            self.facts.update(sampled=arrivals.read, absent=arrivals.absent, missing=arrivals.missing)
            if changed and arrivals.complaint:
                self.facts["complaints"] = [arrivals.complaint]
        # What an error names is refused, not ignored.
        reader.silent = self.silent - self._named
        reader.judge(found)
        self.facts["silent"] = sorted(reader.silent)

    def _note(self, arrivals: Arrivals) -> None:
        """Keep which of the fields that the sample carried arrive; of the others it tells nothing."""
        work = self.work
        # An error that may be about any field may have kept these out of all that were read.
        missing = set() if None in self._paths.values() else arrivals.missing.keys() - self._named
        remote_fields.note_arrivals(
            work.ledger, work.account, work.collection, {name: name in missing for name in arrivals.sent}
        )
        self.silent = (self.silent - arrivals.sent.keys()) | missing

    @cached_property
    def _named(self) -> set[str]:
        """The fields that an error of the log names."""
        return set().union(*(remotes or () for remotes in self._paths.values()))

    def _draw(self) -> list[Item]:
        chosen: list[Item] = []
        for rows in self._chunks(shuffled=True, sent=True):
            delivered = [row.item for row in rows if row.standing.batch_run == self.work.run.id]
            chosen += delivered[: SAMPLE - len(chosen)]
            if len(chosen) >= SAMPLE:
                break
        return chosen

    # Counting

    def count(self) -> None:
        """Count what was found out, so that the books balance however often this is done again."""
        work = self.work
        counts = dict.fromkeys(("convicted", "convicted_sent", "convicted_before", "settled", "settled_held"), 0)
        steps = run_steps.steps(work.ledger, work.run.id)
        guilty = findings.count_rejections(work.ledger, work.run.id, "ometria")
        doubtful = batches.count_records(work.ledger, work.run.id, "doubtful")
        if guilty or doubtful or run_steps.total(steps, "map", "held"):
            for _, store, chunk in self._files():
                table = store.read_chunk("map", chunk, ["contact_id", "action"])
                self._count_rows(dict(zip(*(column.to_pylist() for column in table.columns), strict=True)), counts)
        counts["convicted"] = counts["convicted_sent"] + counts["convicted_before"]
        self.facts.update(counts, unverified=late.count_suspects(work.ledger, work.account, work.collection))
        self.facts.update(self._strangers())

    def _count_rows(self, actions: dict[str, str], counts: dict[str, int]) -> None:
        work = self.work
        ids = list(actions)
        at = self._standings([id_ for id_ in ids if actions[id_] in ("send", "held")])
        guilty = findings.rejected_by(work.ledger, work.run.id, "ometria", ids)
        for id_, standing in at.items():
            if standing.state == "pending":
                continue
            own = standing.batch_run == work.run.id and standing.batch_state == "doubtful"
            counts["settled"] += actions[id_] == "send" and own
            counts["settled_held"] += actions[id_] == "held"
        counts["convicted_sent"] += sum(actions[id_] == "send" for id_ in guilty)
        counts["convicted_before"] += sum(actions[id_] in ("unchanged", "held") for id_ in guilty)
        # The run was cleared, and read of them what settles them otherwise.
        others = [id_ for id_ in guilty if actions[id_] not in ("send", "unchanged", "held")]
        findings.forget(work.ledger, work.run.id, "ometria", others)

    def _strangers(self) -> dict[str, Any]:
        """Return the new errors of the log, each with how many of them no record of ours explains."""
        if not self.errors:
            return {}
        came: Counter[tuple[str, str]] = Counter()
        for error in self.errors:
            came[error.message, error.path] += error.count
        groups = rejections.rejection_groups(self.work.ledger, self.work.run.id)
        listed = []
        for (message, path), count in (+came).most_common():
            ours = sum(g.members for g in groups if g.stage == "ometria" and f"({path})" in g.reason)
            listed.append([message, path, count, max(count - ours, 0)])
        return {
            "late_errors": sum(came.values()),
            "unexplained": sum(row[3] for row in listed),
            "errors": listed[:LISTED],
            "overflow": any(error.path == ANYWHERE and not error.count for error in self.errors),
        }

    def usage(self, started: float) -> dict[str, Any]:
        """Return what was asked of Ometria, as the report shows it."""
        seconds = round(monotonic() - started, 3)
        return {"seconds": seconds, "rate": self.hook.data_requests_per_second, **asdict(self.hook.usage)}


def _is_open(at: Standing) -> bool:
    return at.state == "pending" or (at.state == "accepted" and at.suspect is not None)


def _has_bit(bitmap: bytes, bit: int) -> bool:
    return len(bitmap) > bit // 8 and bool(bitmap[bit // 8] >> bit % 8 & 1)


def _digest(planned: str | None) -> bytes | None:
    """Return the digest of a mapping as it was planned; one that this package cannot read is another."""
    from pydantic import ValidationError

    from ometria_provider.mapping.model import Mapping

    try:
        return Mapping.model_validate_json(planned or "").digest
    except ValidationError:
        return None
