"""A run's report as a page of plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ometria_provider.report import ApiUse, RunReport, StepTime
from ometria_provider.text import duration, members, moment, table


def render(report: RunReport) -> str:
    """Return the report as text, one section for each question that people ask."""
    sections = (
        _head(report),
        _approval(report),
        _members(report),
        _dry_run(report),
        _left_out(report),
        _departures(report),
        _rejections(report),
        _consent(report),
        _rules(report),
        _verification(report),
        requests_section(report.apis),
        _steps(report),
        _next(report),
    )
    return "\n\n".join(section for section in sections if section)


_AT_WORK = {
    "running": "Still working; the numbers are those so far.",
    "awaiting_approval": "Waiting for a person to approve it.",
}
_UNSAID = {
    "failed": "It failed, and nothing says why.",
    "halted": "It was stopped, and nothing says why.",
}


def headline(report: RunReport) -> str:
    """Say in a sentence or two what became of the run."""
    run, books = report.run, report.books
    if run.state in _AT_WORK:
        return f"{_AT_WORK[run.state]}{f' Before: {run.reason}' if run.reason else ''}"
    if run.reason or run.state in _UNSAID:
        return run.reason or _UNSAID[run.state]
    if report.dry_run is not None:
        return f"A dry run: nothing was sent. {_would(report)}"
    left = f" {members(report.departures.done)} left." if report.departures.done else ""
    if not books.to_send:
        return f"Nothing to send: {_why_nothing(report)}.{left}"
    sent = f"{books.accepted:,} of {members(books.read)} delivered to Ometria"
    return f"{sent}, {books.rejected:,} rejected.{left}" if books.rejected else f"{sent}, none rejected.{left}"


def _why_nothing(report: RunReport) -> str:
    books = report.books
    parts = [
        (books.unchanged, "is", "are", "unchanged"),
        (books.filtered, "is", "are", "left out by the mapping's `where`"),
        (books.remembered, "was", "were", "rejected before and not due again"),
        (books.new, "was", "were", "rejected"),
    ]
    said = [(count, f"{one if count == 1 else many} {what}") for count, one, many, what in parts if count]
    if len(said) == 1:
        count, what = said[0]
        return f"all {members(count)} {what}" if count > 1 else f"the one member {what}"
    return f"of {members(books.read)} " + ", ".join(f"{count:,} {what}" for count, what in said)


def _would(report: RunReport) -> str:
    dry = report.dry_run
    if dry is None or not dry.to_send:
        return f"There would be nothing to send: {_why_nothing(report)}."
    return f"{members(dry.to_send).capitalize()} would be sent."


def _head(report: RunReport) -> str:
    run = report.run
    took = f" after {duration((run.ended_at - run.started_at).total_seconds())}" if run.ended_at else ""
    kind = "Dry run" if run.dry_run else "Run"
    retry = f", a retry of run {run.retry_of}" if run.retry_of is not None else ""
    lines = [f"{kind} {run.id} of mapping {run.mapping}: {run.state.replace('_', ' ')}{took}{retry}", headline(report)]
    lines += [f"Limit: {sentence}" for sentence in report.limits if sentence not in (run.reason or "")]
    if run.plan:
        lines.append(f"Plan: {run.plan}")
    if report.unknown:
        listed = _listed(report.unknown_ids, report.unknown)
        lines.append(f"Not in Antavo: {report.unknown:,} of the chosen members ({listed})")
    return "\n".join(lines)


def _listed(ids: list[str], count: int) -> str:
    more = count - 10
    return ", ".join(ids[:10]) + (f" and {more:,} more" if more > 0 else "")


def _approval(report: RunReport) -> str:
    """Say what a person was asked for, and what the answer was."""
    found = report.approval
    if found is None:
        return ""
    answers = {
        "approved": f"Approved by {found.answered_by}",
        "refused": f"Refused by {found.answered_by}",
        "timed_out": "Nobody answered in time",
    }
    waits = f"Asked at {moment(found.asked_at)}"
    if found.answer is None:
        said = f"{waits}: waits for an answer until {moment(found.until)}"
    else:
        said = f"{answers[found.answer]} at {moment(found.answered_at or found.until)}. {waits}"
    return "\n".join(["Approval", f"  {said}", *(f"  - {reason}" for reason in found.reasons)])


def _members(report: RunReport) -> str:
    books = report.books
    rejected = ""
    if books.remembered:
        rejected = f"{books.new:,} by this run, {books.remembered:,} by earlier ones and not due again"
    sent = f"of {books.sent:,} sent (acknowledged by Ometria)" if books.sent else ""
    pending = "not delivered for sure" if books.pending and not report.run.dry_run else ""
    if books.pending and report.run.dry_run:
        pending = "would be sent"
    rows = [
        ("read", books.read, ""),
        ("unchanged", books.unchanged, "not sent again" if books.unchanged else ""),
        ("filtered", books.filtered, "left out by the mapping's `where`" if books.filtered else ""),
        ("rejected", books.rejected, rejected),
        ("accepted", books.accepted, sent),
        ("pending", books.pending, pending),
    ]
    return "Members\n" + table(("", "", ""), rows, indent="  ")


def _dry_run(report: RunReport) -> str:
    dry = report.dry_run
    if dry is None:
        return ""
    rows = [
        ("created", dry.created),
        ("changed", dry.changed),
        ("left alone", dry.unchanged),
        ("rejected", dry.rejected),
    ]
    text = "What a real run would do\n" + table(("", ""), rows, indent="  ")
    if dry.cleared:
        text += "\n  would lose their value\n" + table(("", ""), list(dry.cleared.items()), indent="    ")
    else:
        text += "\n  nobody would lose a value"
    if dry.to_approve:
        text += "\n  A real run would wait for approval: " + " ".join(dry.to_approve)
    return text


def _departures(report: RunReport) -> str:
    found = report.departures
    lines = []
    if found.reasons:
        rows = sorted(found.reasons.items(), key=lambda row: -row[1])
        lines.append("Members who left" if found.done else "Members who would leave")
        lines.append(table(("", ""), rows, indent="  "))
    if found.missing:
        again = "it leaves" if found.missing == 1 else "they leave"
        counts = "" if report.run.state != "halted" else " (this scan does not count)"
        such = f" (such as {', '.join(found.first_missing)})" if found.first_missing else ""
        lines.append(
            f"Missing for the first time{counts}: {found.missing:,}{such}; {again} when the next complete scan misses "
            f"{'it' if found.missing == 1 else 'them'} too"
        )
    if found.refused:
        lines.append(f"Not taken off the list, because Ometria refused: {found.refused:,}; the next run tries again")
    return "\n".join(lines)


def _rejections(report: RunReport) -> str:
    if not report.rejections:
        return ""
    rows = [
        (group.members, group.stage, group.field or "-", group.reason, ", ".join(group.first_ids))
        for group in report.rejections
    ]
    text = "Rejected by this run\n" + table(("members", "stage", "field", "reason", "such as"), rows, indent="  ")
    if report.ended:
        ends = [(end.members, end.words) for end in report.ended]
        text += "\n  where they stand now\n" + table(("", ""), ends, indent="    ")
    return text


def _left_out(report: RunReport) -> str:
    if not report.left_out:
        return ""
    rows = [(each.members, each.reason, ", ".join(each.first_ids[:3])) for each in report.left_out]
    return "Left out by the mapping's `where`\n" + table(("members", "rule", "such as"), rows, indent="  ")


def _consent(report: RunReport) -> str:
    lines = []
    if report.held_back:
        rows = [(held.members, held.reason, ", ".join(held.first_ids)) for held in report.held_back]
        lines.append(table(("members", "reason", "such as"), rows, indent="  "))
    if report.opt_outs:
        lines.append(f"  Of rejected members {report.opt_outs:,} opt-outs went all the same, alone")
    return "\n".join(["Consent", *lines]) if lines else ""


def _rules(report: RunReport) -> str:
    if not report.rules:
        return ""
    rows = [
        (rule.failed, rule.severity, rule.rule, rule.detail or "-", ", ".join(rule.first_ids)) for rule in report.rules
    ]
    return "Validation rules that found something\n" + table(
        ("found", "severity", "rule", "detail", "such as"), rows, indent="  "
    )


def _verification(report: RunReport) -> str:
    """Say what reading back found, if there was anything to look into."""
    seen = report.verification
    if seen is None or not (seen.read_back or seen.unverified or seen.errors or seen.overflow):
        return ""
    unexplained = "another sender's, or of records not read back yet" if seen.unverified else "another sender's"
    rows = [
        ("read back", seen.read_back, f"{seen.sampled} of them field by field, at random" if seen.sampled else ""),
        ("did not arrive", seen.convicted, "rejected at stage ometria" if seen.convicted else ""),
        ("unverified", seen.unverified, "the time was up; the next run looks again" if seen.unverified else ""),
        ("errors of nobody's here", seen.unexplained, unexplained if seen.unexplained else ""),
    ]
    text = "Read back from Ometria\n" + table(("", "", ""), rows, indent="  ")
    for name, carried in seen.missing.items():
        text += f"\n  {name} did not arrive in any of the {carried} contacts that were sent with it"
    if seen.errors:
        listed = [(error.count, error.path or "-", error.message, error.unexplained) for error in seen.errors]
        text += "\n  new in Ometria's error log\n" + table(
            ("count", "path", "message", "nobody's"), listed, indent="    "
        )
    if seen.overflow:
        text += "\n  more errors came than the log holds: every record was under suspicion"
    return text


def requests_section(apis: Sequence[ApiUse]) -> str:
    """Return what the APIs were asked for; empty when they were not."""
    if not apis:
        return ""
    rows = [
        (
            use.api,
            use.requests,
            _limit(use),
            "-" if use.share is None else f"{use.share:.0%}",
            use.throttled,
            use.retried,
        )
        for use in apis
    ]
    head = ("API", "requests", "rate limit", "share used", "throttled (429)", "repeated")
    return "Requests\n" + table(head, rows, indent="  ")


def _limit(use: ApiUse) -> str:
    """Return the limit as the account states it: Antavo's by the minute, Ometria's by the second."""
    if use.rate is None:
        return "-"
    return f"{use.rate * 60:,.10g} a minute" if use.api == "Antavo" else f"{use.rate:,.10g} a second"


def _steps(report: RunReport) -> str:
    if not report.steps:
        return ""
    rows = [
        (
            step.step,
            step.state,
            "-" if step.seconds is None else duration(step.seconds),
            "" if step.slices <= 1 else f"{step.slices} slices",
        )
        for step in _shown(report)
    ]
    return "Time of each step\n" + table(("", "", "", ""), rows, indent="  ")


def _shown(report: RunReport) -> Iterator[StepTime]:
    """Leave out the report itself while it works: it cannot time itself."""
    return (step for step in report.steps if step.step != "report" or step.state != "running")


def _next(report: RunReport) -> str:
    return "What to look at next\n" + "\n".join(f"  - {line}" for line in report.next)
