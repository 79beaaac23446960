"""Runs: the list, and one of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from pydantic import BeforeValidator, Field, StringConstraints
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from ometria_provider.addresses import airflow_dag, airflow_run
from ometria_provider.ledger import findings, history, rejections, run_detail, run_steps
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.history import RunRow
from ometria_provider.ledger.undelivered import endings
from ometria_provider.origin import Origin, origin_of
from ometria_provider.report import run_report
from ometria_provider.report_text import headline
from ometria_provider.web import export, retrying
from ometria_provider.web.access import SameOrigin, SignedIn, may_edit, readable, require_edit, require_read
from ometria_provider.web.funnel import funnel
from ometria_provider.web.reading import Number, OpenLedger
from ometria_provider.web.render import render
from ometria_provider.web.timeline import timeline

router = APIRouter()

#: Runs on one page, and rejections.
PAGE, REJECTIONS = 50, 200

#: Rejected members up to whom a run's page counts where they stand by now; the list says it of each.
FOLLOWED = 5_000

#: An input that was left empty arrives as an empty text.
Given = BeforeValidator(lambda value: value or None)
Day = Annotated[Annotated[date, Field(lt=date.max)] | None, Given, Query()]
Word = Annotated[Annotated[str, StringConstraints(max_length=250)] | None, Given, Query()]


@router.get("/runs", response_class=HTMLResponse)
def list_runs(
    request: Request,
    user: SignedIn,
    ledger: OpenLedger,
    mapping: Word = None,
    state: Word = None,
    since: Day = None,
    until: Day = None,
    before: Number | None = None,
) -> HTMLResponse:
    """Show the latest runs, those of one mapping or state, or of some days (UTC)."""
    shown = readable(user, history.dag_ids(ledger))
    asked = {"mapping": mapping, "state": state, "since": since, "until": until}
    found = history.list_runs(
        ledger,
        mapping=mapping,
        state=state,
        since=_midnight(since) if since else None,
        until=_midnight(until) + timedelta(days=1) if until else None,
        dag_ids=shown,
        before=before,
        limit=PAGE + 1,
    )
    more = found[PAGE - 1].id if len(found) > PAGE else None
    chosen = {name: value for name, value in asked.items() if value is not None}
    names = sorted({run.mapping for run in history.latest_runs(ledger) if run.dag_id in shown})
    return render(
        request,
        "runs.html",
        user=user,
        runs=found[:PAGE],
        asked=asked,
        mappings=names,
        states=history.RUN_STATES,
        older=urlencode({**chosen, "before": more}) if more else None,
        newest=urlencode(chosen) if before else None,
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


@router.get("/runs/{number}", response_class=HTMLResponse)
def show_run(
    number: Number,
    request: Request,
    user: SignedIn,
    ledger: OpenLedger,
    started: Word = None,
    left: Number | None = None,
) -> HTMLResponse:
    """Show one run.

    :param started: Airflow's id of the run that a retry of this one has just started.
    :param left: how many members it found undelivered.
    """
    run = _readable_run(ledger, user, number)
    origin = origin_of(run)
    report = run_report(ledger, number, most_followed=FOLLOWED)
    pushing = next((use for use in report.apis if use.api == "Ometria"), None)
    refused = findings.refused_by_stage(ledger, number, run_steps.steps(ledger, number))
    return render(
        request,
        "run.html",
        user=user,
        report=report,
        run=run,
        headline=headline(report),
        stages=funnel(report, refused),
        timeline=timeline(run_detail.requests_over_time(ledger, number), pushing.rate if pushing else None),
        retries=run_detail.retries_of(ledger, number),
        tasks=[(step, _task(origin, step.step)) for step in report.steps],
        origin=origin,
        in_airflow=_in_airflow(origin),
        can_retry=origin.sync is not None and may_edit(user, origin.sync) and retrying.worth_it(report),
        started=started,
        left=left,
    )


@router.post("/runs/{number}/retry", dependencies=[SameOrigin])
def retry_run(number: Number, request: Request, user: SignedIn, ledger: OpenLedger) -> Response:
    """Start a run for what this one left undelivered, in the user's name."""
    run = history.run_row(ledger, number)
    origin = origin_of(run)
    require_edit(user, origin.sync or origin.dag_id)
    done = retrying.retry(ledger, run, user.get_name())
    query = urlencode({"left": done.members, **({"started": done.started} if done.started else {})})
    root = request.scope.get("root_path", "")
    return RedirectResponse(f"{root}/runs/{number}?{query}", 303)


@router.get("/runs/{number}/rejections", response_class=HTMLResponse)
def show_rejections(
    number: Number,
    request: Request,
    user: SignedIn,
    ledger: OpenLedger,
    stage: Word = None,
    reason: Word = None,
    after: Number = 0,
) -> HTMLResponse:
    """List whom a run rejected, why, and where they stand now."""
    run = _readable_run(ledger, user, number)
    chosen = {name: value for name, value in (("stage", stage), ("reason", reason)) if value}
    rows = rejections.list_rejections(ledger, number, stage=stage, reason=reason, after=after, limit=REJECTIONS + 1)
    more, rows = len(rows) > REJECTIONS, rows[:REJECTIONS]
    ends = endings(ledger, run, [row.contact_id for row in rows])
    return render(
        request,
        "rejections.html",
        user=user,
        run=run,
        rows=[(row, ends[row.contact_id].words(run.id)) for row in rows],
        asked={"stage": stage, "reason": reason},
        stages=rejections.STAGES,
        query=urlencode(chosen),
        more=urlencode({**chosen, "after": rows[-1].id}) if more else None,
    )


@router.get("/runs/{number}/rejections.{kind}")
def rejections_as_file(
    number: Number, kind: export.FileKind, user: SignedIn, ledger: OpenLedger, stage: Word = None, reason: Word = None
) -> Response:
    """Give a run's rejections as a file: CSV for spreadsheets, or JSON."""
    run = _readable_run(ledger, user, number)
    name = f"run-{number}-rejections.{kind}"
    return StreamingResponse(
        export.rejections_file(kind, ledger, run, stage=stage, reason=reason),
        media_type=export.MEDIA_TYPES[kind],
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )


def _readable_run(ledger: Ledger, user: Any, number: int) -> RunRow:
    run = history.run_row(ledger, number)
    require_read(user, origin_of(run).dag_id)
    return run


def _in_airflow(origin: Origin) -> str:
    """Return the place of a run in Airflow's own pages; of its DAG, when nobody knows which run of that it was."""
    return airflow_run(origin.dag_id, origin.run_id) if origin.run_id else airflow_dag(origin.dag_id)


def _task(origin: Origin, step: str) -> str | None:
    """Return the place of a step's task, with its logs, in the Airflow run; None when there is no such place."""
    if origin.run_id is None:
        return None
    if origin.task is not None:
        mapped = "" if origin.map_index is None else f"/mapped/{origin.map_index}"
        return f"/tasks/{origin.task}{mapped}"
    in_group = {"extract", "map", "validate"}
    return f"/tasks/{'prepare.' if step in in_group else ''}{step}" + ("/mapped" if step in {*in_group, "push"} else "")
