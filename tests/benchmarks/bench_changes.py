"""What a second run does: nothing when nothing changed, and exactly what is needed when something did."""

from __future__ import annotations

from tests.benchmarks.bench_memory import run_tasks
from tests.benchmarks.figures import Row
from tests.benchmarks.world import world

MEMBERS = 20_000
HEAVY = ("pandas", "great_expectations")
PUSH = "ometria POST /v2/push"


def measure(*, quick: bool = False) -> list[Row]:
    """Return what was sent after one member in a hundred changed, and what a run without changes did."""
    with world(members=MEMBERS) as here:
        run_tasks(here, "first")
        here.sandbox.control("reset", {"what": ["stats"]})
        idle = run_tasks(here, "second")
        requests = sum(here.sandbox.control("stats")["requests"].get(PUSH, {}).values())
        imported = sorted({name for _, done in idle for name in done["imported"] if name in HEAVY})

        here.sandbox.control("reset", {"what": ["stats"]})
        changed = here.sandbox.control("members", {"change": MEMBERS // 100, "seed": 1})["changed"]
        run_tasks(here, "third")
        received = {id_: here.sandbox.control(f"contacts/customers/{id_}") for id_ in changed}
        sent = here.sandbox.control("stats")["pushed"]["records"]
    # Who is filtered out or rejected is not in Ometria, and has nothing to send when points change.
    expected = [id_ for id_, one in received.items() if one["contact"] is not None]
    once = sum(received[id_]["received"] == 1 for id_ in expected)
    cpu = sum(done["cpu"] for _, done in idle)
    return [
        Row(
            f"1 % of {MEMBERS:,} members changed: records sent",
            f"{sent}, {once} of them among the changed",
            f"{len(expected)} of {len(changed)} changed are in the list",
            "exactly those",
            sent == once == len(expected) and sent > 0,
        ),
        Row(
            f"Nothing changed, {MEMBERS:,} members",
            f"{requests} pushes; imported: {', '.join(imported) or 'neither pandas nor Great Expectations'}",
            "",
            "no push, neither",
            requests == 0 and not imported,
        ),
        Row("… CPU of all its tasks, with their imports", f"{cpu:.2f} s"),
    ]
