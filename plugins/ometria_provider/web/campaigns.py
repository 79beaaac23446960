"""Runs of campaigns: what the last runs made of a workflow's events."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import HTMLResponse

from ometria_provider.campaign_report import campaign_report, headline
from ometria_provider.dagdefaults import campaign_events_id
from ometria_provider.ledger import campaign_facts, campaign_runs
from ometria_provider.ledger.deliveries import STATES
from ometria_provider.web.access import SignedIn, may_read
from ometria_provider.web.reading import OpenLedger
from ometria_provider.web.render import render

router = APIRouter()


@router.get("/campaigns/{name}", response_class=HTMLResponse)
def show_workflow(
    name: str, request: Request, user: SignedIn, ledger: OpenLedger, run: str | None = None
) -> HTMLResponse:
    """Show the last runs of a workflow, and why events were not mailed in them, or in one of them.

    :param run: Airflow's id of that one.
    """
    past = [
        each for each in campaign_runs.latest_runs(ledger, name) if may_read(user, campaign_events_id(each.account))
    ]
    if not past:
        raise HTTPException(404, f"The ledger knows no run of a workflow {name} that you may look at.")
    account = past[0].account
    chosen = [run] if run else [each.run_id for each in past]
    report = campaign_report(ledger, account, name, *chosen)
    return render(
        request,
        "campaign.html",
        user=user,
        name=name,
        run=run,
        dag_id=campaign_events_id(account),
        past=past,
        report=report,
        headline=headline(report),
        facts=campaign_facts.facts_of(ledger, account, chosen),
        states=STATES,
    )
