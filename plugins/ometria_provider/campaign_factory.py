"""Make a DAG for each Antavo connection that workflow files name."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable, Param, get_parsing_context

from ometria_provider.dagdefaults import CAMPAIGNS, DEFAULT_ARGS, START, campaign_events_id
from ometria_provider.dagdoc import campaigns_doc
from ometria_provider.operators.campaign import CampaignOperator, contested
from ometria_provider.operators.params import CAMPAIGN_PARAMS
from ometria_provider.settings import Folders, chosen_folders, read_settings
from ometria_provider.triggers.inbox import inbox_asset
from ometria_provider.workflows.accounts import Campaigns, load_accounts


def campaign_event_dags(
    folder: Path | str | None = None, *, mappings: Path | str | None = None, expectations: Path | str | None = None
) -> dict[str, DAG]:
    """Return a DAG for each Antavo connection, by DAG id.

    A connection all of whose files are broken has one too: its runs fail and say why. So do those of connections whose
    names make the same DAG id, for none of them has a better claim.

    :param folder: the workflow files' folder; default `[ometria] workflows_folder`. Hand the same folder to
        :func:`~ometria_provider.upkeep_factory.upkeep_dags`: it gives up events whose workflow files are gone.
    :param mappings: the folder of their contact mappings; default `[ometria] mappings_folder`.
    :param expectations: the folder of those mappings' suites; default `[ometria] expectations_folder`.
    :raises Misconfigured: when there is no such folder; Airflow shows it as an import error, where else all DAGs would
        vanish without a word.
    """
    chosen = chosen_folders(workflows=folder, mappings=mappings, expectations=expectations)
    folder = read_settings(chosen).workflows_folder
    wanted = get_parsing_context().dag_id
    found: defaultdict[str, list[Campaigns]] = defaultdict(list)
    for account, campaigns in load_accounts(folder).items():
        found[campaign_events_id(account)].append(campaigns)
    return {id_: _dag(id_, *claims, folders=chosen) for id_, claims in found.items() if wanted in (None, id_)}


def _dag(id_: str, campaigns: Campaigns, *rivals: Campaigns, folders: Folders) -> DAG:
    """Return a connection's DAG: one task, as each costs a lone event most of a second.

    :param rivals: those of other connections that make the same id: the DAG does nothing but say so.
    """
    files = [*campaigns.workflows, *campaigns.broken]
    names = [rival.account for rival in rivals]
    every_minute = CronTriggerTimetable("* * * * *", timezone="UTC")
    with DAG(
        id_,
        description=f"Antavo events of {campaigns.account} start campaigns: {', '.join(files)}",
        # At once when a webhook put something into the inbox, and by the clock for what has to be asked for.
        schedule=AssetOrTimeSchedule(timetable=every_minute, assets=[inbox_asset(campaigns.account)]),
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        params={name: Param(**param) for name, param in CAMPAIGN_PARAMS.items()},
        tags={"ometria", "campaign_events", *(["broken"] if campaigns.broken or rivals else [])},
        doc_md=contested(campaigns.account, names) if rivals else campaigns_doc(campaigns),
    ) as dag:
        CampaignOperator(task_id=CAMPAIGNS, connection=campaigns.account, rivals=names, folders=folders)
    return dag


__all__ = ["campaign_event_dags"]
