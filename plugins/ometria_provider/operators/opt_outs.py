"""Push the opt-outs of members whose records are rejected: nothing holds an opt-out back (design.md, promise 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from ometria_provider.delivery.batches import Batch, Outgoing
from ometria_provider.delivery.digests import digest
from ometria_provider.ledger import contacts, findings
from ometria_provider.ledger.findings import OPT_OUT
from ometria_provider.operators.sender import Sender

if TYPE_CHECKING:
    from ometria_provider.hooks.ometria_answers import PushAnswer


class OptOutSender(Sender):
    """Sends the opt-outs of members whose records are rejected: they count in no book, and settle nothing else."""

    kind = "opt_outs"

    def _write_contacts(self, connection: Connection, batch_id: int, batch: Batch, answer: PushAnswer) -> None:  # noqa: ARG002 (Sender's signature)
        if answer.rejected:
            return  # perhaps it was one of these: it stays unknown, and goes again
        columns: dict[str, list[Any]] = {
            "contact_id": [record.contact_id for record in batch],
            "consent_digest": [digest(record.consent or b"") for record in batch],
        }
        common = {**self._state("rejected"), "snapshot_at": None}
        contacts.write_states(self.ledger, connection, common, columns, ("consent_digest",))

    def _reject(self, refused: Sequence[tuple[Outgoing, str]]) -> None:
        if refused:
            rows = [(record.contact_id, OPT_OUT, f"the opt-out did not go either: {why}") for record, why in refused]
            findings.reject(self.ledger, self.target.run_id, self.target.slice, "push", rows)
        self.tally.rejected += len(refused)
