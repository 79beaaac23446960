"""From an Airflow run to its page: where the button on Airflow's task pages leads."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import RedirectResponse

from ometria_provider.dagdefaults import campaign_events_id
from ometria_provider.ledger import campaign_runs, history
from ometria_provider.origin import origin_of
from ometria_provider.web.access import SignedIn, require_read
from ometria_provider.web.reading import OpenLedger

router = APIRouter()


@router.get("/of/{dag_id}")
def page_of_run(dag_id: str, run: str, request: Request, user: SignedIn, ledger: OpenLedger) -> RedirectResponse:
    """Lead to the page of an Airflow run: of a contact sync or a file push its own, of campaigns that of the first
    workflow in it.

    :param dag_id: Airflow's, or as the ledger knows the push of a file.
    :param run: Airflow's id of the run.
    """
    root = request.scope.get("root_path", "")
    for row in history.runs_called(ledger, run, of=dag_id):
        origin = origin_of(row)
        if dag_id in (row.dag_id, origin.dag_id):
            require_read(user, origin.dag_id)
            return RedirectResponse(f"{root}/runs/{row.id}", 303)
    require_read(user, dag_id)
    names = [name for account, name in campaign_runs.workflows_of(ledger, run) if campaign_events_id(account) == dag_id]
    if names:
        return RedirectResponse(f"{root}/campaigns/{quote(names[0], safe='')}?run={quote(run, safe='')}", 303)
    raise HTTPException(404, f"The ledger knows nothing of the run {run} of {dag_id}: did its plan start?")
