"""Runs: the list, and one of them."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from ometria_provider.ledger import history
from ometria_provider.report import run_report
from ometria_provider.web.access import SignedIn, may_edit, readable, require_read
from ometria_provider.web.reading import OpenLedger
from ometria_provider.web.render import render

router = APIRouter()


@router.get("/runs", response_class=HTMLResponse)
def list_runs(request: Request, user: SignedIn, ledger: OpenLedger) -> HTMLResponse:
    """Show the latest runs."""
    shown = readable(user, history.dag_ids(ledger))
    return render(request, "runs.html", user=user, runs=history.list_runs(ledger, dag_ids=shown, limit=50))


@router.get("/runs/{number}", response_class=HTMLResponse)
def show_run(number: int, request: Request, user: SignedIn, ledger: OpenLedger) -> HTMLResponse:
    """Show one run."""
    run = history.run_row(ledger, number)
    require_read(user, run.dag_id)
    report = run_report(ledger, number)
    return render(request, "run.html", user=user, report=report, run=run, editor=may_edit(user, run.dag_id))
