"""The one task of a campaign DAG: collect events, deliver them, say what became of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from ometria_provider.exceptions import Misconfigured, SyncError
from ometria_provider.ledger import campaign_facts, deliveries, installations
from ometria_provider.ledger.campaign_facts import ApiUse, CampaignFacts, LateWords
from ometria_provider.ledger.engine import Ledger, open_ledger
from ometria_provider.metrics import emit, of_campaign
from ometria_provider.operators import lineage
from ometria_provider.operators.accounts import noting, uses
from ometria_provider.operators.base import PatientOperator
from ometria_provider.operators.params import CampaignParams, campaign_params
from ometria_provider.workflows.accounts import Campaigns, load_accounts

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from ometria_provider.operators.collect import Found

log = logging.getLogger(__name__)


class BrokenWorkflows(Misconfigured):
    """Workflow files of the connection cannot be used: their events wait until somebody mends them."""


class CampaignOperator(PatientOperator):
    """Collect an Antavo connection's new events and deliver them for every workflow.

    :param connection: the Antavo connection.
    :param rivals: other Antavo connections whose names make the same DAG id: with any, the task only says so.
    :raises Misconfigured: for a wrong param, workflow file or connection. Broken files take no other with them: the run
        delivers for the others before it fails.
    :raises Retryable: when a server did not answer; what is not delivered waits.
    """

    template_fields: Sequence[str] = ()

    def __init__(self, *, connection: str, rivals: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.connection = connection
        self.rivals = rivals

    def execute(self, context: Context) -> dict[str, int]:
        """Do all of it; red is what a person must look at, and nothing else."""
        from ometria_provider.operators.deliver import complaint, deliver

        if self.rivals:
            raise Misconfigured(contested(self.connection, self.rivals))
        settings = self.settings()
        ledger = open_ledger(settings.ledger_url)
        ledger.ready()
        installations.note(ledger, "worker")
        run_id = str(context["run_id"])
        campaigns = self._campaigns()
        params = self._params(campaigns, getattr(context["dag_run"], "conf", None) or {})
        if params.send_again:
            self._reopen(ledger, params.send_again, run_id, context["dag_run"].run_after, params.workflow)
        began, since = monotonic(), datetime.now(UTC)
        with noting() as made:
            found, fault = self._collect(ledger, campaigns, run_id, params)
            tally = deliver(
                ledger,
                campaigns.workflows.values(),
                self.connection,
                run_id,
                settings=settings,
                dag_id=self.dag_id,
                unreadable=campaigns.unreadable,
                only=params.workflow,
                send_again=params.send_again,
            )
        apis = uses(made, monotonic() - began)
        facts = CampaignFacts(tuple(apis), tuple(LateWords(count, *words) for words, count in tally.late.items()))
        if tally.states or facts.late or params.workflow:
            campaign_facts.write(ledger, self.connection, run_id, facts)
        self._report(ledger, campaigns, run_id, facts)
        self._measure(ledger, campaigns, run_id, since, apis)
        # Somebody who asked for one workflow hears of that one.
        if error := complaint(tally) or fault or (None if params.workflow else _broken(campaigns)):
            raise error
        return {**(found.counts() if found else {}), **tally.states}

    def get_openlineage_facets_on_start(self) -> OperatorLineage[Any, Any]:
        """Return what a run reads and writes, by the workflow files as they are."""
        return lineage.of_campaigns(self.connection, self._campaigns().workflows.values())

    def _campaigns(self) -> Campaigns:
        """Return the connection's workflows as the files say now.

        :raises Misconfigured: when there is none that could be used.
        """
        folder = self.settings().workflows_folder
        campaigns = load_accounts(folder).get(self.connection)
        if campaigns is None:
            raise Misconfigured(f"No workflow file in {folder} names connection `{self.connection}` any more.")
        if not campaigns.workflows and (error := _broken(campaigns)):
            raise error
        return campaigns

    def _params(self, campaigns: Campaigns, conf: dict[str, Any]) -> CampaignParams:
        broken = {file.rpartition(".")[0]: problems for file, problems in campaigns.broken.items()}
        params = campaign_params(conf, [*campaigns.workflows, *broken])
        if params.workflow in broken:
            raise BrokenWorkflows(f"Nothing was delivered. Mend the file first:\n{broken[params.workflow]}")
        return params

    def _reopen(
        self, ledger: Ledger, event_id: str, run_id: str, asked_at: datetime | None, workflow: str | None
    ) -> None:
        """Let an event be delivered again: once in a run, however often its task is cleared."""
        ends = deliveries.to_send_again(
            ledger, self.connection, event_id, run_id=run_id, asked_at=asked_at, workflow=workflow
        )
        if ends is None:
            raise Misconfigured(
                f"Param `send_again`: the ledger knows no such event of connection `{self.connection}`"
                f"{f' and workflow `{workflow}`' if workflow else ''}. `ometria-sync events` lists those that it knows."
            )
        if not ends:
            log.info("Event %s waits already, or was acknowledged since this run was asked for.", event_id)
        for name, state in ends:
            if state == deliveries.ACKNOWLEDGED:
                log.warning(
                    "Event %s was acknowledged for %s already and goes again: its campaign may start twice.",
                    event_id,
                    name,
                )
        deliveries.reopen(ledger, self.connection, [(event_id, name) for name, _ in ends])

    def _collect(
        self, ledger: Ledger, campaigns: Campaigns, run_id: str, params: CampaignParams
    ) -> tuple[Found | None, SyncError | None]:
        """Collect; what goes wrong does not keep back what is in the inbox already."""
        from ometria_provider.operators.accounts import antavo_hook
        from ometria_provider.operators.collect import Collector

        collector = Collector(ledger, campaigns, antavo_hook(ledger, self.connection), run_id)
        try:
            found = collector.collect(sweep=params.workflow is not None)
        except SyncError as error:
            log.warning("Events could not be collected: %s", error)
            return None, error
        log.info("%s", found.sentence())
        return found, None

    def _report(self, ledger: Ledger, campaigns: Campaigns, run_id: str, facts: CampaignFacts) -> None:
        from ometria_provider.campaign_report import campaign_report, headline, of_run, render

        reports = [campaign_report(ledger, self.connection, name, run_id) for name in campaigns.workflows]
        busy = [report for report in reports if report.outcomes]
        for report in busy:
            log.info("%s: %s", report.workflow, render(report))
        if not busy:
            log.info("%s", headline(reports[0]))
        if said := of_run(facts):
            log.info("%s", said)

    def _measure(self, ledger: Ledger, campaigns: Campaigns, run_id: str, since: datetime, apis: list[ApiUse]) -> None:
        """Count what this attempt did, and not what one before it did."""
        from ometria_provider.campaign_report import campaign_report

        done = [campaign_report(ledger, self.connection, name, run_id, since=since) for name in campaigns.workflows]
        emit(of_campaign(self.connection, done, apis))


def contested(connection: str, rivals: Sequence[str]) -> str:
    """Say that several Antavo connections would share a DAG, and what to do."""
    names = " and ".join(f"`{name}`" for name in sorted([connection, *rivals]))
    return (
        f"The Antavo connections {names} make the same DAG id, so that neither is served and their events wait: rename "
        "one of them in Airflow and in its workflow files (letters, digits, `_`, `-` and `.` stay as they are)."
    )


def _broken(campaigns: Campaigns) -> BrokenWorkflows | None:
    if not campaigns.broken:
        return None
    problems = "\n".join(campaigns.broken.values())
    first = "The other workflows were delivered. Mend" if campaigns.workflows else "Nothing was delivered. Mend"
    return BrokenWorkflows(f"{first} {', '.join(campaigns.broken)}; until then their events wait:\n{problems}")
