"""Push contacts that Ometria lacks, before an event names them: a contact sync's run for some members, in one task.

Its steps are the contact sync's own, so that records, consent, rules, checkpoints and the ledger's states are those of
every other run. It does not reconcile: the contacts stay pending until the next contact sync, which looks into them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import Connection

from ometria_provider.delivery.batches import Batch, Outgoing
from ometria_provider.delivery.books import verdict
from ometria_provider.delivery.digests import encode
from ometria_provider.exceptions import Halted
from ometria_provider.hooks.ometria import OmetriaHook
from ometria_provider.hooks.ometria_answers import PushAnswer
from ometria_provider.ledger import contacts, run_steps, runs
from ometria_provider.ledger.engine import Ledger
from ometria_provider.mapping.model import Mapping
from ometria_provider.operators import rebuilding
from ometria_provider.operators.accounts import ometria_hook
from ometria_provider.operators.antavo import ExtractOperator
from ometria_provider.operators.base import SyncOperator, Work
from ometria_provider.operators.chosen import Choice
from ometria_provider.operators.mapping import MapOperator
from ometria_provider.operators.run import GateOperator, balance
from ometria_provider.operators.sender import Sender, Target
from ometria_provider.operators.slice_push import push_slice
from ometria_provider.operators.validate import ValidateOperator
from ometria_provider.settings import Settings

log = logging.getLogger(__name__)

#: The reason in the ledger of those whom only a transactional mail brought to Ometria.
UNLISTED = "where: outside it; pushed for a transactional mail, onto no list"

#: Before the push: nothing was sent by then, so that whoever is refused here is refused before.
_STEPS: tuple[type[SyncOperator], ...] = (ExtractOperator, MapOperator, ValidateOperator)


@dataclass(frozen=True)
class Newcomers:
    """Pushes contacts through one mapping.

    :param dag_id: the DAG whose task it is: the runs in the ledger bear its name.
    :param unsubscribes_known: whether all unsubscribes in Ometria are known.
    """

    ledger: Ledger
    settings: Settings
    mapping: Mapping
    dag_id: str
    unsubscribes_known: bool

    def push(self, customer_ids: Sequence[str], *, listed: bool = True) -> None:
        """Push the contacts of these customers; what became of each stands in the ledger.

        :param listed: False: members outside the mapping's `where`, who are put on no list.
        :raises Retryable: when a server stays out of reach; what was acknowledged by then is kept.
        :raises Fatal: when a person must mend something first.
        """
        choice = Choice(tuple(customer_ids))
        work = self._open(choice, listed=listed)
        log.info("Run %s pushes %s contacts first that Ometria lacks", work.run.id, f"{len(choice.ids):,}")
        try:
            self._work_through(work, choice, listed=listed)
        except BaseException as error:
            reason = str(error) if isinstance(error, Halted) else type(error).__name__
            self._close(work, reason, halted=isinstance(error, Halted))
            raise
        else:
            self._close(work, None)
        finally:
            work.store.remove()

    def _open(self, choice: Choice, *, listed: bool) -> Work:
        from ometria_provider.validation.suites import load_suites

        mapping = self.mapping
        run_id = f"{runs.PUSHED_FIRST}{uuid4()}"
        run = runs.open_run(self.ledger, dag_id=self.dag_id, run_id=run_id, mapping=mapping.name, dry_run=False)
        suite = load_suites(self.settings.expectations_folder, mapping.name, mapping.remotes)
        runs.keep_plan(
            self.ledger,
            run,
            planned_mapping=mapping.model_dump_json(),
            planned_suite=msgspec.json.encode(suite, enc_hook=str).decode(),
            account=mapping.connections.ometria,
            collection=mapping.collection,
            strategy=runs.CHOSEN,
            plan=f"Push {len(choice.ids):,} contacts that Ometria lacks, before campaign events name them.",
        )
        run = runs.get_run(self.ledger, dag_id=self.dag_id, run_id=run_id)
        return (Work if listed else _EverybodysWork)(self.ledger, run, self.settings, None)

    def _work_through(self, work: Work, choice: Choice, *, listed: bool) -> None:
        # A rebuild may have begun since the campaign's run did; with this run open no other one begins.
        rebuilding.refuse_unfinished(self.ledger, self.mapping, then="The next run tries again.")
        windows = choice.windows()
        choice.keep(work)
        with run_steps.working(self.ledger, work.run, "plan") as step:
            step.facts.update(slices=len(windows), unsubscribes_known=self.unsubscribes_known)
        for operator in _STEPS:
            for window in windows:
                self._do(operator, replace(work, window=window))
        self._do(GateOperator, work)
        for window in windows:
            here = replace(work, window=window)
            with run_steps.working(self.ledger, here.run, "push", here.slice) as step:
                hook = ometria_hook(self.ledger, here.account, urgent=True)
                push_slice(here, step.facts, hook=hook, sender=None if listed else self._unlisted(here, hook))

    def _do(self, operator: type[SyncOperator], work: Work) -> None:
        task = operator(task_id=operator.step, mapping=self.mapping.name, window=work.window)
        with run_steps.working(self.ledger, work.run, operator.step, work.slice) as step:
            task.work(work, step.facts, {})  # none of these reads Airflow's context

    def _unlisted(self, work: Work, hook: OmetriaHook) -> Sender:
        target = Target(work.account, work.collection, work.run.id, work.slice)
        return UnlistedSender(self.ledger, target, hook=hook)

    def _close(self, work: Work, reason: str | None, *, halted: bool = False) -> None:
        books = balance(work, run_steps.steps(self.ledger, work.run.id))
        reason = reason or verdict(books, dry_run=False, failures=[], breaches=[])
        state = "halted" if halted else "failed" if reason else "succeeded"
        runs.close_run(self.ledger, work.run.id, state=state, reason=reason, counts=books.columns())


class _EverybodysWork(Work):
    """Work on members outside the mapping's `where`."""

    @cached_property
    def mapping(self) -> Mapping:
        """The mapping without its rules of `where`; what they read is read all the same."""
        planned = Mapping.model_validate_json(self.run.mapping_json or "")
        return planned.model_copy(update={"where": {loyalty: {} for loyalty in planned.where}})


@dataclass
class UnlistedSender(Sender):
    """Sends contacts of members outside `where`: onto no list, and they stay filtered (or departed) in the ledger."""

    def send(self, records: Sequence[Outgoing], *times: Any) -> None:
        """Send records without the list that they would put their contacts on."""
        super().send([record._replace(body=_without_lists(record.body)) for record in records], *times)

    def _write_contacts(self, connection: Connection, batch_id: int, batch: Batch, answer: PushAnswer) -> None:  # noqa: ARG002 (Sender's signature)
        """Write that Ometria has a contact, but nothing by which it counts as one of the list's."""
        ids, _bodies, _fingerprints, sources, _filled, _consents, _held = zip(*batch, strict=True)
        nothing = dict.fromkeys(("fingerprint", "filled", "suspect", "held"))
        common = {
            **self._state("filtered"),
            **nothing,
            "reason": UNLISTED,
            "snapshot_at": self._snapshot_at,
            "details_at": self._details_at,
            "push_batch_id": batch_id,
        }
        columns: dict[str, Sequence[Any]] = {"contact_id": ids, "source_digest": sources}
        contacts.write_states(self.ledger, connection, common, columns, contacts.SENT)


def _without_lists(body: bytes) -> bytes:
    record: dict[str, Any] = msgspec.json.decode(body)
    return encode(
        {name: value for name, value in record.items() if name not in ("@add_to_lists", "@remove_from_lists")}
    )
