"""How long the steps took, and how much of the rate limits they used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from ometria_provider.ledger.campaign_facts import ApiUse
from ometria_provider.ledger.run_steps import WHOLE_RUN, StepRow
from ometria_provider.report.shape import StepTime

#: The steps of a run, in their order.
STEPS = ("plan", "extract", "map", "validate", "gate", "push", "reconcile", "report")

#: Which API a step talks to. Plan asks both, and its few requests are counted with Antavo's.
APIS = {"Antavo": ("plan", "extract", "gate"), "Ometria": ("push",), "Ometria, reading": ("reconcile",)}


def step_times(rows: Sequence[StepRow]) -> list[StepTime]:
    """Return the steps in their order, each with its slices merged."""
    found = []
    for step in sorted({row.step for row in rows}, key=lambda name: STEPS.index(name) if name in STEPS else 99):
        own = [row for row in rows if row.step == step]
        started = min(row.started_at for row in own)
        ends = [row.ended_at for row in own if row.ended_at is not None]
        seconds = (max(ends) - started).total_seconds() if len(ends) == len(own) else None
        bad = [row for row in own if row.state != "done"]
        worst = next((row for row in bad if row.state != "running"), bad[0] if bad else own[0])
        slices = sum(row.slice != WHOLE_RUN for row in own)
        found.append(StepTime(step, worst.state, slices, seconds, started, worst.reason))
    return found


def use_of(api: str, steps: Sequence[str], rows: Sequence[StepRow]) -> ApiUse | None:
    """Return what one API was asked for by these steps, or None when none of them began."""
    # A reconcile that asked nothing is no news.
    own = [row for row in rows if row.step in steps and (row.step != "reconcile" or row.facts.get("requests"))]
    # Looks at the error log, made beside the push.
    beside = [row for row in rows if row.step == "push"] if "reconcile" in steps else []
    if not own:
        return None
    counts = {
        name: sum(row.facts.get(name, 0) for row in own) + sum(row.facts.get(f"data_{name}", 0) for row in beside)
        for name in ("requests", "throttled", "retried")
    }
    timed = [row for row in own if row.facts.get("rate") and row.facts.get("seconds")]
    rate = next((float(row.facts["rate"]) for row in own if row.facts.get("rate")), None)
    seconds = _covered(timed)
    share = None
    if rate and seconds:
        share = min(sum(row.facts.get("requests", 0) for row in timed) / (seconds * rate), 1.0)
    return ApiUse(api, **counts, rate=rate, share=share)


def _covered(rows: Sequence[StepRow]) -> float:
    """Return for how many seconds at least one of these steps made requests: slices may work side by side."""
    spans = sorted(
        (end - timedelta(seconds=float(row.facts["seconds"])), end)
        for row in rows
        if (end := row.ended_at or row.started_at + timedelta(seconds=float(row.facts["seconds"])))
    )
    covered, until = 0.0, None
    for start, end in spans:
        begin = start if until is None else max(start, until)
        covered += max((end - begin).total_seconds(), 0.0)
        until = end if until is None else max(until, end)
    return covered
