"""Overview: what needs attention, and how each mapping and workflow stands."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from ometria_provider.attention import KINDS, needing_attention, watched_dags
from ometria_provider.settings import read_settings
from ometria_provider.web.access import SignedIn, may_read
from ometria_provider.web.paused import paused
from ometria_provider.web.reading import OpenLedger
from ometria_provider.web.render import render
from ometria_provider.web.standing import mapping_card, workflow_card

router = APIRouter()


@router.get("/", response_class=HTMLResponse)
def overview(request: Request, user: SignedIn, ledger: OpenLedger) -> HTMLResponse:
    """Show what needs attention first, then each mapping and workflow of the folders."""
    settings, now = read_settings(), datetime.now(UTC)
    dags = [dag for dag in watched_dags(settings, ledger) if may_read(user, dag.dag_id)]
    asleep = paused([dag.dag_id for dag in dags])
    return render(
        request,
        "overview.html",
        user=user,
        attention=needing_attention(ledger, settings, dags, now),
        kinds=KINDS,
        unknown=asleep is None,
        mappings=[
            mapping_card(ledger, settings, dag, now, paused=dag.dag_id in (asleep or ()))
            for dag in dags
            if dag.campaigns is None
        ],
        workflows=[
            workflow_card(ledger, dag, name, now, paused=dag.dag_id in (asleep or ()))
            for dag in dags
            if dag.campaigns is not None
            for name in dag.campaigns.workflows
        ],
    )
