"""What a run changes: a few of the records that it has ready, each beside what Ometria holds now.

The page is there at once; its script brings the members, which takes Ometria's time (docs/adr/0057).
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from ometria_provider.addresses import airflow_run
from ometria_provider.ledger import approvals, history, runs
from ometria_provider.ledger.engine import open_ledger
from ometria_provider.operators.comparing import SAMPLE, of_run
from ometria_provider.origin import origin_of
from ometria_provider.settings import read_settings
from ometria_provider.web import audit
from ometria_provider.web.access import SameOrigin, SignedIn, may_edit, require_read
from ometria_provider.web.reading import Number, OpenLedger
from ometria_provider.web.render import render

router = APIRouter()


@router.get("/runs/{number}/changes", response_class=HTMLResponse)
def show_changes(number: Number, request: Request, user: SignedIn, ledger: OpenLedger) -> HTMLResponse:
    """Show what a run is to do and who is asked about it, and where the members' table goes."""
    row = history.run_row(ledger, number)
    require_read(user, origin_of(row).dag_id)
    return render(
        request,
        "changes.html",
        user=user,
        run=row,
        approval=approvals.find(ledger, number),
        most=SAMPLE,
        airflow_run=airflow_run(row.dag_id, row.run_id),
    )


@router.post("/runs/{number}/changes/members", response_class=HTMLResponse, dependencies=[SameOrigin])
def show_members(number: Number, request: Request, user: SignedIn, ledger: OpenLedger) -> HTMLResponse:
    """Give the part of the page that shows some members before and after; values to those only who may edit the DAG.

    Ometria is asked now, once for each of them, within the account's rate budget (which is written to the ledger).
    """
    row = history.run_row(ledger, number)
    require_read(user, origin_of(row).dag_id)
    settings, sees_values = read_settings(), may_edit(user, row.dag_id)
    run = runs.get_run(ledger, dag_id=row.dag_id, run_id=row.run_id)
    found = of_run(open_ledger(settings.ledger_url), run, settings.staging_path, attempts=1)
    ids = [member.contact_id for member in found.members]
    audit.note(user, audit.COMPARED, ids, values=sees_values, dag_id=row.dag_id, run_id=row.run_id, run=row.id)
    return render(
        request,
        "changed_members.html",
        dag_id=row.dag_id,
        found=found,
        moving=[row for row in found.fields if row.is_moving],
        staying=[row.field for row in found.fields if not row.is_moving],
        members=found.members if sees_values else [member.without_values() for member in found.members],
        sees_values=sees_values,
    )
