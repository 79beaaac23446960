"""What Ometria rejects of a file of contacts after it has answered: found as for a contact sync, in the file itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic

import msgspec

from ometria_provider.delivery.digests import digest
from ometria_provider.delivery.readback import leaves
from ometria_provider.delivery.suspects import Field, concerned, join
from ometria_provider.hooks.ometria import OmetriaHook
from ometria_provider.ledger import contacts, error_looks, late
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.error_looks import ErrorRow
from ometria_provider.ledger.late import Standing
from ometria_provider.ledger.runs import Run
from ometria_provider.operators.doubts import Doubts, Item
from ometria_provider.operators.error_log import look, look_until_quiet
from ometria_provider.operators.readback import Reader

#: The records of a file, a chunk at a time: contact id → the record as it is sent.
Chunks = Iterable[Mapping[str, bytes]]


@dataclass
class FileVerification:
    """Finds out which records of a file did not arrive."""

    ledger: Ledger
    run: Run
    account: str
    collection: str
    hook: OmetriaHook
    fields: dict[tuple[str, ...], Field] = field(default_factory=dict)

    def begin(self) -> None:
        """Take the error log's baseline, before the first record goes."""
        look(self.ledger, self.account, self.hook)

    def end(self, chunks: Chunks) -> int:
        """Accept what was acknowledged, and reject what did not arrive; return how many records were read back.

        Whom the time does not suffice for stays under suspicion: the next push of a file that holds the record as it is
        goes on.
        """
        of = (self.ledger, self.account, self.collection)
        since = late.first_sent(self.ledger, self.run, self.account, self.collection)
        errors: list[ErrorRow] = []
        if since is not None:
            answered = late.last_answer(self.ledger, self.run)
            look_until_quiet(*of[:2], self.hook, answered=answered, is_drained=self.hook.queued == 0)
            errors = error_looks.errors_since(self.ledger, self.account, since)
        # Marked at once, so that none is forgotten if this is killed.
        contacts.settle(*of, suspect=late.UNRECONCILED)
        if not late.has_open(*of):
            return 0
        reader = Reader(self, self.hook, self.fields, 0.0)
        with Doubts() as doubts:
            for chunk in chunks:
                doubts.add(reader.readable(list(self._doubtful(chunk, errors))))
            reader.deadline = monotonic() + self.hook.verify_seconds
            reader.check(doubts)
        return reader.read

    def _doubtful(self, chunk: Mapping[str, bytes], errors: list[ErrorRow]) -> Iterator[Item]:
        """Yield the records of a chunk that Ometria acknowledged and that are in doubt; write who is a suspect."""
        marks: dict[str, str | None] = {}
        for id_, at in late.standings(self.ledger, self.account, self.collection, list(chunk)).items():
            body = chunk[id_]
            is_open = at.state == "pending" or (at.state == "accepted" and at.suspect is not None)
            if not is_open or at.fingerprint != digest(body):
                continue
            mark = at.suspect
            if mark == late.UNRECONCILED or at.state == "pending":
                mark = marks[id_] = join(found) if (found := self._causes(at, body, errors)) else None
            if mark is not None or at.state == "pending":
                yield Item(id_, body, 0, at.batch, mark, at.state == "pending")
        late.suspect(self.ledger, self.account, self.collection, marks.items())

    def _causes(self, at: Standing, body: bytes, errors: list[ErrorRow]) -> list[str]:
        """Return the paths of errors that came after a record went and may be about a field of it."""
        paths = {error.path for error in errors if error.until > at.sent_at}
        if not paths:
            return []
        own = {keys: Field(".".join(keys), keys[0] == "properties") for keys, _ in leaves(msgspec.json.decode(body))}
        self.fields.update(own)
        found = {path: concerned(path, own) for path in paths}
        return sorted(path for path, remotes in found.items() if remotes is None or remotes)
