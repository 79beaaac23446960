"""Overview: how each mapping stands."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from ometria_provider.ledger import history
from ometria_provider.web.access import SignedIn, may_read
from ometria_provider.web.reading import OpenLedger
from ometria_provider.web.render import render

router = APIRouter()


@router.get("/", response_class=HTMLResponse)
def overview(request: Request, user: SignedIn, ledger: OpenLedger) -> HTMLResponse:
    """Show the last run of each mapping."""
    latest = [run for run in history.latest_runs(ledger) if may_read(user, run.dag_id)]
    return render(request, "overview.html", user=user, runs=latest)
