"""Plan and extract: what a run reads from Antavo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from itertools import pairwise
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec

from ometria_provider.delivery.plan import chosen_sentence, list_problem, plan_sentence
from ometria_provider.exceptions import Misconfigured, SyncError
from ometria_provider.ledger import contacts, late, run_steps, runs, scans
from ometria_provider.ledger.engine import Ledger
from ometria_provider.operators import changes, chosen, lineage, old_staging, rebuilding, retry
from ometria_provider.operators.accounts import antavo_hook, ometria_hook
from ometria_provider.operators.asking import read_ahead
from ometria_provider.operators.base import Planned, SyncOperator, Window, Work
from ometria_provider.operators.chosen import Choice, Withheld
from ometria_provider.operators.details import Details, expected_details
from ometria_provider.operators.params import run_params
from ometria_provider.operators.retry import Retry
from ometria_provider.operators.stager import Staged, Stager
from ometria_provider.staging.store import CHUNK
from ometria_provider.staging.tables import source_table

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from ometria_provider.hooks.antavo import AntavoHook
    from ometria_provider.hooks.ometria import OmetriaHook
    from ometria_provider.mapping.model import Mapping


class PlanOperator(SyncOperator):
    """Open the run, check what it needs, and cut it into slices.

    :raises Misconfigured: for a wrong param, mapping file, suite, connection or list.
    """

    step = "plan"

    def open(self, ledger: Ledger, context: Context) -> runs.Run:
        """Open the run in the ledger, or continue it; a ledger without tables is made ready."""
        ledger.ready()
        params = context.get("params") or {}
        return runs.open_run(
            ledger,
            dag_id=self.dag_id,
            run_id=str(context["run_id"]),
            mapping=self.mapping,
            dry_run=params.get("dry_run") is True,
        )

    def work(self, work: Work, facts: dict[str, Any], context: Context) -> list[Window]:
        """Return the slices."""
        params = run_params(getattr(context["dag_run"], "conf", None) or {})
        is_new = work.run.mapping_json is None
        work = self._with_files(work) if is_new else work
        mapping = work.mapping
        rebuilding.refuse_unfinished(work.ledger, mapping)
        if is_new:
            # A ledger that was lost or restored gives numbers out once more: nothing of another run is taken up.
            work.store.remove()
        ometria = ometria_hook(work.ledger, mapping.connections.ometria)
        self._check_list(ometria, mapping)
        if is_new:
            # Only now: a mapping that was refused can be mended, and the task cleared.
            self._keep_files(work)
        if not work.run.dry_run:
            # Of a run that was killed before it reconciled: this run's reconcile looks into it.
            mark = None if mapping.verify == "off" else late.UNRECONCILED
            contacts.settle(work.ledger, work.account, work.collection, suspect=mark)

        antavo = antavo_hook(work.ledger, mapping.connections.antavo)
        retried = retry.planned(work, params)
        choice = retried.choice if retried else Choice(params.customer_ids) if params.customer_ids else None
        reading = None if choice else changes.planned(work, antavo, params.strategy)
        choice = reading.choice if reading else choice
        work = self._with_strategy(work, choice, retried, is_incremental=reading is not None)
        expected = self._expected(antavo, work)
        # Who changed is known by Antavo's id, and whoever asks for incremental runs gets them.
        by_id = choice is not None and (reading is not None or not choice.needs_scan(expected))
        windows = choice.windows() if choice and by_id else self._scan_windows(antavo)
        run_steps.drop_slices_from(work.ledger, work.run, len(windows))
        costs: dict[str, Any] = {
            "members": expected,
            "slices": len(windows),
            "requests_per_minute": antavo.requests_per_minute,
            "push_requests_per_second": ometria.push_requests_per_second,
            "details": expected_details(work.ledger, Planned(mapping, work.suite), expected, run=work.run),
            "dry_run": work.run.dry_run,
        }
        if choice:
            who = "changed" if reading else "chosen"
            sentence = chosen_sentence(chosen=len(choice.ids), who=who, by_scan=not by_id, **costs)
            sentence = retried.sentence(sentence) if retried else sentence
        else:
            sentence = plan_sentence(**costs)
        if reading:
            sentence = reading.sentence(sentence)
            facts["until"] = reading.until.isoformat()
        self.log.info("%s", sentence)
        runs.keep_plan(work.ledger, work.run, plan=sentence)
        facts.update(slices=len(windows), expected=expected, requests=antavo.usage.requests)
        if mapping.consent_remotes:
            from ometria_provider.operators import unsubscribes

            facts["unsubscribes_known"] = unsubscribes.read(work.ledger, work.account, ometria, run_id=work.run.id)
        self._forget_old_staging(work)
        return windows

    def _with_files(self, work: Work) -> Work:
        """Read mapping and suites from their files."""
        from ometria_provider.mapping.files import load_owner
        from ometria_provider.validation.suites import load_suites

        mapping = load_owner(work.settings.mappings_folder / f"{self.mapping}.yaml")
        suite = load_suites(work.settings.expectations_folder, mapping.name, mapping.remotes)
        run = replace(
            work.run,
            mapping_json=mapping.model_dump_json(),
            suite_json=msgspec.json.encode(suite, enc_hook=str).decode(),
        )
        return replace(work, run=run)

    def _keep_files(self, work: Work) -> None:
        """Keep mapping and suites with the run: its other tasks, cleared or not, work with these."""
        runs.keep_plan(
            work.ledger,
            work.run,
            planned_mapping=work.run.mapping_json,
            planned_suite=work.run.suite_json,
            account=work.account,
            collection=work.collection,
        )

    def _with_strategy(self, work: Work, choice: Choice | None, retried: Retry | None, *, is_incremental: bool) -> Work:
        """Keep what kind of run this is, and whom it is for."""
        some = runs.INCREMENTAL if is_incremental else runs.CHOSEN
        kind: dict[str, Any] = {
            "strategy": some if choice else runs.FULL,
            "retry_of": retried.run if retried else None,
        }
        runs.keep_plan(work.ledger, work.run, **kind)
        if choice:
            choice.keep(work)
        return replace(work, run=replace(work.run, **kind))

    def _check_list(self, ometria: OmetriaHook, mapping: Mapping) -> None:
        problem = list_problem(
            ometria.contact_list(mapping.list),
            mapping=mapping.name,
            list_id=mapping.list,
            connection=mapping.connections.ometria,
        )
        if problem:
            raise Misconfigured(problem)

    def _scan_windows(self, antavo: AntavoHook) -> list[Window]:
        """Return the slices of a complete scan."""
        edges = [None, *self._edges(antavo), None]
        return [{"index": index, "gte": gte, "lt": lt} for index, (gte, lt) in enumerate(pairwise(edges))]

    def _edges(self, antavo: AntavoHook) -> Iterator[str]:
        """Yield the `created_at` of every 50,000th customer: where one slice ends and the next begins."""
        offset, last = CHUNK, None
        while (edge := antavo.created_at_at(offset)) is not None:
            if edge != last:
                yield edge
            offset, last = offset + CHUNK, edge

    def _expected(self, antavo: AntavoHook, work: Work) -> int | None:
        """Return about how many members there are: only the plan's sentence depends on it."""
        try:
            return antavo.count_active()
        except SyncError as error:
            self.log.warning("Antavo does not say how many customers there are: %s", error)
            return scans.last_scan(work.ledger, work.run, account=work.account, collection=work.collection)

    def _forget_old_staging(self, work: Work) -> None:
        if removed := old_staging.remove_of(work.ledger, work.settings, work.run.mapping, work.run.id):
            self.log.info("Removed the staging of %s earlier runs", removed)


class ExtractOperator(SyncOperator):
    """Read one slice's customers from Antavo into Parquet, keeping only what the mapping reads."""

    step = "extract"

    def get_openlineage_facets_on_start(self) -> OperatorLineage[Any, Any]:
        """Return what is about to be read, by the file as it is."""
        return lineage.of_extract(self.as_it_stands())

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Return what was read, by the mapping as planned."""
        mapping, facts = self.as_planned(task_instance)
        return lineage.of_extract(mapping, facts.get("read"))

    def work(self, work: Work, facts: dict[str, Any], context: Context) -> None:  # noqa: ARG002 (the base's signature)
        """Stage the slice in chunks."""
        assert work.window is not None
        from ometria_provider.mapping.customers import Projection
        from ometria_provider.mapping.identity import takes_antavos_id

        projection, choice = Projection(work.mapping), chosen.planned(work)
        stager = Stager(work, projection, choice)
        has_own_ids = takes_antavos_id(work.mapping)
        hook = antavo_hook(work.ledger, work.mapping.connections.antavo)
        started = monotonic()
        work.files.begin("extract")
        chunks: list[dict[str, Any]] = []
        facts.update(read=0, rate=hook.requests_per_minute / 60)
        details = Details(work, hook, projection, facts) if projection.detail_fields else None
        tried, in_vain = frozenset(choice.tried if choice else ()), []
        try:
            # Page by page: a whole customer takes twenty times the memory of what is kept of it.
            pages = read_ahead(self._customers(work, hook, choice, projection.keys))
            staged_pages = ((asked_at, list(filter(None, map(stager.stage, page)))) for asked_at, page in pages)
            for snapshot_at, staged in in_chunks(staged_pages, CHUNK):
                kept, details_at = details.complete(staged) if details else (staged, None)
                # Who was not told of before either stays rejected by the run that tried to read it first.
                in_vain += [member.contact_id for member in kept if member.unread and member.customer in tried]
                kept = [member for member in kept if not (member.unread and member.customer in tried)]
                if not kept:
                    continue
                ids, sources, digests, customers, whole, unread = zip(*kept, strict=True)
                table = source_table(ids, sources, digests, whole, None if has_own_ids else customers)
                work.files.write_chunk("extract", len(chunks), table)
                times = {"snapshot_at": snapshot_at.isoformat(), "details_at": details_at and details_at.isoformat()}
                untold = {str(row): one for row, one in enumerate(unread) if one}
                chunks.append({"rows": len(kept), **times, **({"unread": untold} if untold else {})})
                if untold:
                    self.log.warning("Antavo does not tell of %s of them: they are rejected", len(untold))
                facts["read"] += len(kept)
                self.log.info("Read %s customers in %s requests", f"{facts['read']:,}", hook.usage.requests)
        finally:
            facts.update(seconds=round(monotonic() - started, 3), **asdict(hook.usage))
        work.files.write_manifest("extract", {"chunks": chunks, "found": stager.found, "in_vain": in_vain})

    def _customers(
        self, work: Work, hook: AntavoHook, choice: Choice | None, keys: frozenset[str]
    ) -> Iterator[Sequence[dict[str, Any] | Withheld]]:
        """Yield the slice's customers by the page, with these keys at least."""
        assert work.window is not None
        if choice is not None and (bounds := work.window.get("ids")):
            return chosen.read(hook, choice.ids[slice(*bounds)])
        return hook.scan(gte=work.window["gte"], lt=work.window["lt"], keys=keys)


def in_chunks(pages: Iterator[tuple[datetime, list[Staged]]], size: int) -> Iterator[tuple[datetime, list[Staged]]]:
    """Yield the pages' customers in chunks of at most `size`, each with the time before its first request.

    :param pages: each with the time before it was asked for.
    """
    chunk_at: datetime | None = None
    chunk: list[Staged] = []
    for asked_at, page in pages:
        if chunk_at and len(chunk) + len(page) > size:
            yield chunk_at, chunk
            chunk, chunk_at = [], None
        chunk_at = chunk_at or asked_at
        chunk.extend(page)
    if chunk_at and chunk:
        yield chunk_at, chunk
