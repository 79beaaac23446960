"""What to look at next after a run, each with the exact command or click."""

from __future__ import annotations

from ometria_provider.ledger import runs
from ometria_provider.ledger.history import RunRow
from ometria_provider.origin import origin_of
from ometria_provider.report.shape import RunReport


def _while_open(run: RunRow) -> list[str]:
    """Return what to do about a run that has not ended."""
    if run.state == runs.AWAITING:
        return [f"Airflow, Required Actions, run {run.run_id} of {run.dag_id}: approve or reject it"]
    if run.state == runs.RUNNING:
        return [f"ometria-sync show {run.id}: again later; the run is still working"]
    return []


def next_steps(report: RunReport) -> list[str]:
    """Return what to look at next, each with the exact command or click."""
    run, books = report.run, report.books
    origin = origin_of(run)
    lines = _while_open(run)
    failed = [step for step in report.steps if step.state == "failed" and step.step != "report"]
    if failed:
        task = origin.task or failed[0].step
        which = f", run {origin.run_id}" if origin.run_id else ""
        lines.append(f"Airflow, DAG {origin.dag_id}{which}: the log of task `{task}`")
        lines.append("ometria-sync doctor: checks connections, lists, clocks, files and folders")
        then = f"clear `{task}` (and what follows it), or start a new run" if which else "the next run tries again"
        lines.append(f"When it is mended, {then}: nothing that was acknowledged is sent again")
    if run.state == "halted" and not run.sent:
        lines.append(
            "Nothing was sent. When that is meant to go out, change the limit as said above and start a new run"
        )
        if first := report.departures.first_missing:
            lines.append(f"ometria-sync trace {first[0]} --now: whether Antavo still has one of those who are missing")
    if books.new and report.rejections:
        lines.append(f"ometria-sync rejections {run.id}: all that this run rejected, and where they stand now")
        if not run.dry_run and run.ended_at is not None:
            lines.append(
                f"ometria-sync retry {run.id}: once they are mended, try them again with today's data"
                if origin.sync
                else f"Mend the file and start the DAG {origin.dag_id} again: what was rejected goes once it changed"
            )
        if first := report.rejections[0].first_ids:
            lines.append(f"ometria-sync trace {first[0]}: where one of them stands")
    if report.departures.refused:
        lines.append(f"ometria-sync rejections {run.id} --stage push: who could not be taken off the list")
    if report.remembered_from is not None:
        lines.append(f"ometria-sync rejections {report.remembered_from}: why members were rejected before this run")
    if books.pending and report.doubtful:
        ids = ", ".join(str(batch.request_id) for batch in report.doubtful if batch.request_id)
        lines.append(f"Ometria's error log, and its support with the request ids {ids or '(none given)'}")
    if (seen := report.verification) and seen.missing:
        lines.append(
            "Ometria, Settings, Custom fields: are these declared, with these IDs? "
            f"{', '.join(seen.missing)} (see the runbook, “Fields did not arrive”)"
        )
    if report.dry_run is not None and run.state == "succeeded":
        lines.append("Start a run without `dry_run` to send this")
    if not lines:
        lines.append(f"ometria-sync history --mapping {run.mapping}: this run beside earlier ones")
        lines.append("ometria-sync trace CUSTOMER: where one member stands")
    return lines
