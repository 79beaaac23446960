"""Make a DAG from each mapping file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, Param, get_parsing_context, task_group

from ometria_provider.dagdefaults import DEFAULT_ARGS, START, contact_sync_id
from ometria_provider.dagdoc import broken_doc, mapping_doc
from ometria_provider.mapping.files import (
    MappingFileError,
    contested,
    load_mapping,
    mapping_files,
    require_folder,
    schedule_of,
)
from ometria_provider.notifications.ometria import SyncNotifier
from ometria_provider.operators.antavo import ExtractOperator, PlanOperator
from ometria_provider.operators.mapping import MapOperator
from ometria_provider.operators.ometria import OmetriaPushOperator
from ometria_provider.operators.params import PARAMS
from ometria_provider.operators.reconcile import ReconcileOperator
from ometria_provider.operators.run import GateOperator, ReportOperator
from ometria_provider.operators.validate import ValidateOperator
from ometria_provider.settings import Folders, chosen_folders, read_settings


def contact_sync_dags(folder: Path | str | None = None, *, expectations: Path | str | None = None) -> dict[str, DAG]:
    """Return a DAG for each mapping file, by DAG id; files whose names make the same id share one that only fails.

    A task's process parses only the DAG that it runs.

    :param folder: the mapping files' folder; default `[ometria] mappings_folder`. Pages, `ometria-sync` and
        `watch_syncs` look only there, so set that option too where you use them.
    :param expectations: the suites' folder; default `[ometria] expectations_folder`.
    :raises Misconfigured: when there is no such folder; Airflow shows it as an import error, where else all DAGs would
        vanish without a word.
    """
    chosen = chosen_folders(mappings=folder, expectations=expectations)
    folder = read_settings(chosen).mappings_folder
    require_folder(folder)
    wanted = get_parsing_context().dag_id
    found = mapping_files(folder)
    return {id_: contact_sync_dag(*files, folders=chosen) for id_, files in found.items() if wanted in (None, id_)}


def contact_sync_dag(file: Path, *rivals: Path, folders: Folders | None = None) -> DAG:
    """Return the DAG of one mapping file; a broken file gets one whose plan fails and says why.

    :param rivals: other files whose names make the same DAG id: none of them has a better claim.
    :param folders: where its tasks look for files (`settings.chosen_folders`); default the configuration's folders.
    """
    if rivals:
        return _broken_dag([file, *rivals], MappingFileError(contested([file, *rivals])), folders)
    try:
        mapping = load_mapping(file)
    except MappingFileError as error:
        return _broken_dag([file], error, folders)
    with DAG(
        contact_sync_id(mapping.name),
        description=mapping.description or f"Antavo customers to Ometria list {mapping.list}",
        schedule=_timetable((mapping.schedule, mapping.timezone) if mapping.schedule else None),
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        params={name: Param(**param) for name, param in PARAMS.items()},
        tags={"ometria", "contact_sync", mapping.mode},
        doc_md=mapping_doc(mapping),
    ) as dag:
        _tasks({"mapping": mapping.name, "folders": folders})
    return dag


def _tasks(about: dict[str, Any]) -> None:
    """Wire plan ─▶ [ extract ─▶ map ─▶ validate ] × slice ─▶ gate ─▶ push × slice ─▶ reconcile ─▶ report.

    :param about: what every task is told: its mapping, and where the files are.
    """
    plan = PlanOperator(task_id="plan", **about)

    @task_group(group_id="prepare")
    def prepare(window: Any) -> None:
        extract = ExtractOperator(task_id="extract", **about, window=window)
        map_ = MapOperator(task_id="map", **about, window=window)
        extract >> map_ >> ValidateOperator(task_id="validate", **about, window=window)

    prepared = prepare.expand(window=plan.output)
    gate = GateOperator(task_id="gate", **about)
    push = OmetriaPushOperator.partial(task_id="push", **about).expand(window=plan.output)
    # After a push that failed too: what it got through is acknowledged, and may turn out rejected.
    reconcile = ReconcileOperator(task_id="reconcile", **about, trigger_rule="all_done")
    prepared >> gate >> push >> reconcile >> _report(about)


def _report(about: dict[str, Any]) -> ReportOperator:
    """Return the task that comes whatever happened before: it closes the run, and is red when anything was."""
    tell = [SyncNotifier(about["folders"])]
    return ReportOperator(
        task_id="report",
        **about,
        trigger_rule="all_done",
        on_success_callback=tell,
        on_failure_callback=tell,
    )


def _timetable(schedule: tuple[str, str] | None) -> CronTriggerTimetable | None:
    return CronTriggerTimetable(schedule[0], timezone=schedule[1]) if schedule else None


def _broken_dag(files: Sequence[Path], error: MappingFileError, folders: Folders | None) -> DAG:
    """Return a DAG in place of one whose mapping file is broken: no other DAG suffers, and no run of it is green.

    It keeps the schedule when that can be read: a sync that has stopped must be red, not silent.

    :param files: the file, or those that ask for the same DAG.
    """
    name, names = files[0].stem, " and ".join(file.name for file in files)
    with DAG(
        contact_sync_id(name),
        description=f"{names} {'are' if files[1:] else 'is'} broken: see the doc page",
        schedule=_timetable(next(filter(None, map(schedule_of, files)), None)),
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args={**DEFAULT_ARGS, "retries": 0},
        tags={"ometria", "contact_sync", "broken"},
        doc_md=broken_doc(names, str(error)),
    ) as dag:
        # The report closes the run in the ledger, with what plan says of the file.
        about: dict[str, Any] = {"mapping": name, "folders": folders}
        PlanOperator(task_id="plan", **about) >> _report(about)
    return dag


__all__ = ["contact_sync_dag", "contact_sync_dags"]
