"""What every task of a contact sync shares: its run in the ledger, the mapping as planned, the slice's files."""

from __future__ import annotations

import gc
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from airflow.sdk import BaseOperator
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryAction, RetryRule

from ometria_provider.delivery.compare import Comparison
from ometria_provider.exceptions import Fatal, Throttled
from ometria_provider.ledger import installations, run_steps, runs
from ometria_provider.ledger.engine import Ledger, open_ledger
from ometria_provider.metrics import emit, of_step
from ometria_provider.operators.links import SyncLink
from ometria_provider.settings import Folders, Settings, read_settings
from ometria_provider.staging.store import RunStore, SliceStore

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import TaskInstanceKey

    from ometria_provider.mapping.model import Mapping
    from ometria_provider.validation.suites import Suite

#: A slice as plan lists it: its number and its bounds in `created_at` (None: open).
Window = dict[str, Any]


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """Let Python look for reference cycles less often while the block works.

    Records come by the ten thousand and have no cycles; looking through them again and again doubles the time of a map.
    """
    before = gc.get_threshold()
    gc.set_threshold(500_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def retry_policy() -> ExceptionRetryPolicy:
    """Say which errors are worth another try: what a person must mend is not, a throttled account wants time."""
    return ExceptionRetryPolicy(
        rules=[
            RetryRule(exception=Fatal, action=RetryAction.FAIL, reason="trying again changes nothing"),
            RetryRule(exception=Throttled, action=RetryAction.RETRY, retry_delay=timedelta(minutes=1)),
        ]
    )


@dataclass(frozen=True)
class Planned:
    """What a run makes records by."""

    mapping: Mapping
    suite: Suite

    @property
    def key(self) -> bytes:
        """What every source digest is keyed with: a changed mapping or rule makes every customer differ."""
        from ometria_provider.delivery.digests import digest

        return digest(self.mapping.digest + self.suite.digest)


def planned_then(run: runs.Run) -> Planned | None:
    """Return what an earlier run was planned with; None when this version of the package cannot read that."""
    try:
        return Planned(_mapping(run), _suite(run))
    except ValueError:  # pydantic's and msgspec's errors are some
        return None


def _mapping(run: runs.Run) -> Mapping:
    from ometria_provider.mapping.model import Mapping

    return Mapping.model_validate_json(run.mapping_json or "")


def _suite(run: runs.Run) -> Suite:
    from ometria_provider.validation.suites import Suite

    return msgspec.json.decode(run.suite_json or "", type=Suite, dec_hook=lambda kind, text: kind(text))


@dataclass
class Work:
    """One task at work.

    :param run: the run in the ledger, with the mapping and the suite as planned.
    :param window: the slice, or None when the task concerns the whole run.
    """

    ledger: Ledger
    run: runs.Run
    settings: Settings
    window: Window | None

    @cached_property
    def mapping(self) -> Mapping:
        """The mapping as planned, whatever its file says by now."""
        return _mapping(self.run)

    @cached_property
    def suite(self) -> Suite:
        """The validation rules as planned."""
        return _suite(self.run)

    @property
    def digest_key(self) -> bytes:
        """What every source digest of the run is keyed with."""
        return Planned(self.mapping, self.suite).key

    @cached_property
    def rules(self) -> Comparison:
        """By what members are compared with the ledger."""
        return Comparison(
            run_id=self.run.id,
            retry_rejected=self.mapping.retry_rejected,
            now=self.run.started_at,
            asked_for=self.run.is_chosen,
            details_max_age=self.mapping.details_max_age,
        )

    @property
    def account(self) -> str:
        """The Ometria account: its connection id."""
        return self.mapping.connections.ometria

    @property
    def collection(self) -> str:
        """Ometria's `@collection` that the mapping owns."""
        return self.mapping.collection

    @property
    def slice(self) -> int:
        """The slice's number, or -1 for the whole run."""
        return self.window["index"] if self.window else run_steps.WHOLE_RUN

    @property
    def files(self) -> SliceStore:
        """The slice's files."""
        return self.store.slice(self.slice)

    @property
    def store(self) -> RunStore:
        """The run's files."""
        return RunStore(self.settings.staging_path, self.run.mapping, self.run.id)


class PatientOperator(BaseOperator):
    """A task that Airflow tries again as :func:`retry_policy` says, wherever it stands; its page leads to the run's.

    :param folders: folders that the DAG file names itself (`settings.chosen_folders`); others are the configuration's.
    """

    operator_extra_links = (SyncLink(),)

    def __init__(self, *, folders: Folders | None = None, **kwargs: Any) -> None:
        # A mapped task hands in None for what its `partial` left out.
        kwargs["retry_policy"] = kwargs.get("retry_policy") or retry_policy()
        super().__init__(**kwargs)
        self.folders = folders

    def ledger_dag_id(self, ti_key: TaskInstanceKey) -> str:
        """Return the id of the DAG as the ledger knows it."""
        return ti_key.dag_id

    def settings(self) -> Settings:
        """Return the settings that the task works by."""
        return read_settings(self.folders)


class SyncOperator(PatientOperator):
    """A task of a contact sync.

    :param mapping: name of the mapping file, without `.yaml`.
    :param window: the slice to work on, as plan lists it; None for the whole run.
    """

    step: ClassVar[str]
    template_fields: Sequence[str] = ("window",)

    def __init__(self, *, mapping: str, window: Window | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mapping = mapping
        self.window = window

    def execute(self, context: Context) -> Any:
        """Do the step, with its times, counts and end in the ledger."""
        return self.perform(context)

    def perform(self, context: Context) -> Any:
        """Do the step; what a task that was resumed calls in place of `execute`."""
        settings = self.settings()
        ledger = open_ledger(settings.ledger_url)
        run = self.open(ledger, context)
        installations.note(ledger, "worker")
        work = Work(ledger, run, settings, self.window)
        with run_steps.working(ledger, run, self.step, work.slice) as step, seldom_collecting():
            try:
                return self.work(work, step.facts, context)
            finally:
                emit(of_step(self.step, self.mapping, step.facts))

    def as_it_stands(self) -> Mapping:
        """Return the mapping as its file says now.

        :raises MappingFileError: when it is broken.
        """
        from ometria_provider.mapping.files import load_mapping

        return load_mapping(self.settings().mappings_folder / f"{self.mapping}.yaml")

    def as_planned(self, task_instance: Any) -> tuple[Mapping, dict[str, Any]]:
        """Return the mapping as planned, and what this task counted on its slice: for listeners, when it has ended."""
        ledger = open_ledger(self.settings().ledger_url)
        run = runs.get_run(ledger, dag_id=self.dag_id, run_id=task_instance.run_id)
        slice_ = self.window["index"] if self.window else run_steps.WHOLE_RUN
        facts = (row.facts for row in run_steps.steps(ledger, run.id) if (row.step, row.slice) == (self.step, slice_))
        return _mapping(run), dict(next(facts, {}))

    def open(self, ledger: Ledger, context: Context) -> runs.Run:
        """Find the run in the ledger."""
        ledger.check_version()
        return runs.get_run(ledger, dag_id=self.dag_id, run_id=str(context["run_id"]))

    @abstractmethod
    def work(self, work: Work, facts: dict[str, Any], context: Context) -> Any:
        """Do what the step is for.

        :param facts: counts that the ledger keeps when the step ends, well or not.
        """
