"""A million members: a complete scan to verified delivery, then a run with one member in a hundred changed."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

from ometria_provider.sandbox.settings import SandboxSettings
from ometria_provider.staging.store import CHUNK

from tests.benchmarks.figures import Row
from tests.scale.site import Site, balances, pretty, say, site

#: Raised limits: an account's own are a matter of its plan. At 2,000 contacts a second a million take 8.3 minutes.
PUSH, DATA, ANTAVO = 20, 20, 6_000
MOST_MB, SHARE = 600, 0.97


def measure(*, members: int = 1_000_000) -> Iterator[Row]:
    """Yield the figures of both runs."""
    settings = SandboxSettings(
        port=0,
        members=members,
        ometria_push_per_second=PUSH,
        ometria_data_per_second=DATA,
        antavo_requests_per_minute=ANTAVO,
    )
    with site(settings) as here:
        yield from _first(here, members)
        yield from _second(here, members)


def _first(here: Site, members: int) -> list[Row]:
    say(f"  first run: {members:,} members")
    began = monotonic()
    run_id = here.start()
    row = here.end(run_id)
    took = monotonic() - began
    received, stats = here.received(), here.sandbox.control("stats")
    limits = stats["limits"]["ometria push"]
    share = (limits["admitted"] - 1) / max(limits["seconds_from_first_to_last"], 1e-9) / PUSH
    refused = sum(each["refused"] for each in stats["limits"].values())
    workers = here.workers_at_once(run_id, "push")
    return [
        Row(
            f"{members:,} members, two Celery workers: read to verified",
            f"{row['colour']} in {took / 60:.1f} min; {received['contacts']:,} contacts, {received['repeats']} twice",
            f"{row['accepted']:,} accepted of {row['read']:,}; the others filtered {row['filtered']:,}, "
            f"rejected {row['rejected']:,}",
            "green, each once",
            row["colour"] == "success"
            and balances(row, members)
            and received["contacts"] == row["accepted"]
            and received["received"] == row["sent"],
        ),
        Row(
            f"… push, {PUSH} requests/s, {limits['admitted']:,} requests by parallel slices",
            f"{share:.1%} of the limit, {refused} × 429",
            f"limit {PUSH}/s, any second",
            f"{SHARE:.0%}, no 429",
            share >= SHARE and refused == 0,
        ),
        Row(
            "… workers that pushed slices at once",
            f"{workers}",
            f"{len(here.step(run_id, 'push'))} slices",
            "both",
            workers == 2 if members > CHUNK else None,
        ),
        _memory(here, run_id),
        Row("… wall time of each step, s", pretty(here.seconds(run_id))),
        *_sizes(here, members),
    ]


def _second(here: Site, members: int) -> list[Row]:
    changed = max(members // 100, 1)
    say(f"  second run: {changed:,} members changed")
    before = here.received()["received"]
    here.sandbox.control("members", {"change": changed})
    began = monotonic()
    run_id = here.start()
    row = here.end(run_id)
    took, sent = monotonic() - began, here.received()["received"] - before
    return [
        Row(
            f"1 % of {members:,} changed",
            f"{row['colour']} in {took / 60:.1f} min; {sent:,} records sent",
            f"{changed:,} changed; {row['unchanged']:,} unchanged",
            "green, only who changed",
            row["colour"] == "success"
            and balances(row, members)
            and 0.9 * changed <= sent <= changed
            and sent == row["sent"],
        ),
        _memory(here, run_id),
        Row("… wall time of each step, s", pretty(here.seconds(run_id))),
    ]


def _memory(here: Site, run_id: str) -> Row:
    peaks = here.peaks(run_id)
    most = max(peaks.values())
    return Row("… peak memory of any task", f"{most:.0f} MB", pretty(peaks), f"under {MOST_MB} MB", most < MOST_MB)


def _sizes(here: Site, members: int) -> list[Row]:
    tables = here.query(
        "SELECT relname AS name, pg_total_relation_size(relid) AS size FROM pg_stat_user_tables ORDER BY 2 DESC LIMIT 3"
    )
    (whole,) = here.query("SELECT pg_database_size(current_database()) AS size")
    staged = here.store.stats()["bytes"]
    return [
        Row(
            "… size of the ledger (PostgreSQL)",
            f"{whole['size'] / 1e6:.0f} MB, {whole['size'] / members:.0f} bytes a member",
            ", ".join(f"{each['name']} {each['size'] / 1e6:.0f}" for each in tables),
        ),
        Row("… size of one run's staging (S3)", f"{staged / 1e6:.0f} MB, {staged / members:.0f} bytes a member"),
    ]
