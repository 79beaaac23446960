"""Install the wheel of dist/ into fresh Airflows outside the checkout, as anybody would, and use it there.

`make dist-test` runs it for two Airflows: the locked one (`requirements.txt` as constraints) and the newest 3.x with
the newest of everything else. Other arguments choose: `clean_install.py 3.4.0b2`, or the folder of a virtual
environment that is there already. Each gets the DAG file `docs/examples/team_dags.py`, whose folders are its own, both
connections in Airflow's database, and a sandbox; a contact sync, a campaign and a push of a file have to arrive there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGE = "airflow-provider-ometria"
STAFF = [{"id": "s-1", "email": "ann@example.com", "firstname": "Ann"}, {"id": "s-2", "email": "bob@example.com"}]
NOISE = ("AIRFLOW", "PYTHON", "VIRTUAL_ENV", "OMETRIA", "MAKE")


@dataclass(frozen=True)
class Airflow:
    """One Airflow: its virtual environment and its home, neither of them in the checkout."""

    bin: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """Return an environment that knows nothing of the checkout."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(NOISE)}
        return clean | {
            "PATH": f"{self.bin}:{clean['PATH']}",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__CORE__FERNET_KEY": "bm90IGEgc2VjcmV0OiB0aGUgdGVzdCBvZiBhIHdoZWU=",
        }

    def run(self, *command: str) -> str:
        """Run a command as the team would, and return what it prints.

        :raises SystemExit: when it fails.
        """
        done = subprocess.run(
            [self.bin / command[0], *command[1:]],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(
                f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
            )
        return done.stdout

    def list_of(self, *command: str) -> list[dict[str, Any]]:
        """Return what a listing command of Airflow says; its log lines may stand before it."""
        text = self.run("airflow", *command, "-o", "json")
        found: list[dict[str, Any]] = json.loads(text[text.index("[{") if "[{" in text else text.rindex("[") :])
        return found


def expect(what: str, seen: object, wanted: object) -> None:
    """Print what was seen, and stop when it is not what was wanted.

    :raises SystemExit: when it is not.
    """
    if seen != wanted:
        raise SystemExit(f"  {what}: {seen!r}, wanted {wanted!r}")
    print(f"  {what}: {seen}", flush=True)


def make_environment(wanted: str, folder: Path) -> Path:
    """Return the programs of a fresh virtual environment with an Airflow and the wheel in it."""
    if Path(wanted).is_dir():
        return Path(wanted) / "bin"
    (wheel,) = (ROOT / "dist").glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [
        folder / "bin" / "python",
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--progress-bar=off",
    ]
    limits = ["-c", str(ROOT / "requirements.txt")] if wanted == "locked" else []
    airflow = {"locked": "apache-airflow", "newest": "apache-airflow>=3.3.2,<4"}.get(
        wanted, f"apache-airflow=={wanted}"
    )
    pre = ["--pre"] if any(mark in wanted for mark in ("a", "b", "rc")) and wanted[0].isdigit() else []
    subprocess.run([*pip, *pre, *limits, airflow], check=True, cwd=folder)
    subprocess.run([*pip, *pre, *limits, str(wheel)], check=True, cwd=folder)
    subprocess.run([folder / "bin" / "python", "-m", "pip", "check"], check=True, cwd=folder)
    return folder / "bin"


@contextmanager
def sandbox(airflow: Airflow) -> Iterator[dict[str, str]]:
    """Run the stand-ins from the wheel; the block gets their addresses."""
    command = [airflow.bin / "ometria-sync", "sandbox", "--port", "0", "--members", "300", "-o", "json"]
    command += ["--ometria-push-per-second", "0", "--ometria-data-per-second", "0", "--lists", "4821"]
    process = subprocess.Popen(command, env=airflow.environment, cwd=airflow.home, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def control(addresses: dict[str, str], path: str, content: object = None) -> Any:
    """Ask the sandbox what arrived, or make something happen there."""
    data = None if content is None else json.dumps(content).encode()
    with urllib.request.urlopen(f"{addresses['control']}/{path}", data=data) as answer:  # noqa: S310 (our own sandbox)
        return json.load(answer)


def lay_out(airflow: Airflow) -> None:
    """Write the team's DAG folder: its DAG file, and the examples that the wheel brings."""
    dags = airflow.home / "dags"
    dags.mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "examples" / "team_dags.py", dags)
    (dags / "staff.jsonl").write_text("".join(json.dumps(row) + "\n" for row in STAFF), encoding="utf-8")
    where = airflow.run("python", "-c", "import ometria_provider; print(ometria_provider.__path__[0])").strip()
    expect("ometria_provider is the checkout's", Path(where).is_relative_to(ROOT), False)
    shutil.copytree(Path(where) / "examples" / "include", dags / "include")


def connect(airflow: Airflow, addresses: dict[str, str]) -> None:
    """Make both connections in Airflow's database."""
    antavo = {
        "conn_type": "antavo",
        "host": addresses["loyalty"],
        "login": "sandbox-key",
        "password": "sandbox-secret",
        "extra": {"read_api_url": addresses["read"], "credential_scope": "sandbox/api/antavo_request"},
    }
    ometria = {
        "conn_type": "ometria",
        "host": addresses["ometria"],
        "password": "sandbox-ometria-key",
        "extra": {"push_requests_per_second": 100, "data_requests_per_second": 100, "settle_seconds": 0},
    }
    for name, connection in (("antavo_default", antavo), ("ometria_default", ometria)):
        airflow.run("airflow", "connections", "add", name, "--conn-json", json.dumps(connection))
        said = airflow.run("airflow", "connections", "test", name)
        expect(f"airflow connections test {name}", "success" in said.lower(), True)


def shown(airflow: Airflow) -> None:
    """Look for what the package brings in Airflow's own listings."""
    (provider,) = [row for row in airflow.list_of("providers", "list") if row["package_name"] == PACKAGE]
    expect("airflow providers list", provider["package_name"], PACKAGE)
    hooks = {row["connection_type"] for row in airflow.list_of("providers", "hooks") if row["package_name"] == PACKAGE}
    expect("airflow providers hooks", sorted(hooks), ["antavo", "ometria"])
    for listing, name in (
        ("notifications", "ometria_provider.notifications.ometria.SyncNotifier"),
        ("links", "ometria_provider.operators.links.SyncLink"),
        ("triggers", "ometria_provider.triggers.inbox"),
    ):
        expect(f"airflow providers {listing}", name in airflow.run("airflow", "providers", listing, "-o", "json"), True)
    expect("airflow plugins", "ometria" in {row["name"] for row in airflow.list_of("plugins")}, True)
    option = airflow.run("airflow", "config", "list", "--section", "ometria", "--include-descriptions")
    expect("airflow config list --section ometria", "ledger_sql_alchemy_conn" in option, True)


def use(airflow: Airflow, addresses: dict[str, str]) -> None:
    """Run the team's DAGs, and count what arrived."""
    airflow.run("airflow", "dags", "reserialize")
    expect("airflow dags list-import-errors", airflow.list_of("dags", "list-import-errors"), [])
    found = {row["dag_id"] for row in airflow.list_of("dags", "list")}
    wanted = {"contact_sync__customers", "contact_sync__customers_v2", "campaign_events__antavo_default"}
    expect("airflow dags list", sorted(found), sorted(wanted | {"maintain_ledger", "watch_syncs", "push_staff"}))
    airflow.run("ometria-sync", "ledger", "upgrade")
    airflow.run("airflow", "dags", "test", "contact_sync__customers")
    (run,) = json.loads(airflow.run("ometria-sync", "history", "-o", "json"))
    expect("the ledger says of contact_sync__customers", run["state"], "succeeded")
    arrived = control(addresses, "stats")["contacts"]["customers"]["stored"]
    expect("contacts that Ometria holds, as accepted", arrived, run["accepted"])
    expect("some arrived", arrived > 200, True)
    control(addresses, "claims", {"count": 3})
    airflow.run("airflow", "dags", "test", "campaign_events__antavo_default")
    events = json.loads(airflow.run("ometria-sync", "events", "-o", "json"))
    expect("events that the ledger saw", len(events), 3)
    airflow.run("airflow", "dags", "test", "push_staff")
    expect("staff that Ometria holds", control(addresses, "contacts")["collections"]["staff"]["contacts"], len(STAFF))
    for dag_id in ("maintain_ledger", "watch_syncs"):
        airflow.run("airflow", "dags", "test", dag_id)
    expect("upkeep is green", True, True)


def check(wanted: str) -> None:
    """Install into one Airflow and use it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="clean-install-") as folder:
        print(f"{wanted}: installing ...", flush=True)
        airflow = Airflow(make_environment(wanted, Path(folder) / "venv"), Path(folder) / "home")
        airflow.home.mkdir()
        version = airflow.run("python", "-c", "from importlib.metadata import version as v; print(v('apache-airflow'))")
        print(f"{wanted}: Airflow {version.strip()}, after {time.monotonic() - began:.0f} s", flush=True)
        lay_out(airflow)
        airflow.run("airflow", "db", "migrate")
        shown(airflow)
        with sandbox(airflow) as addresses:
            connect(airflow, addresses)
            use(airflow, addresses)
        print(f"{wanted}: all is well, after {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    for each in sys.argv[1:] or ["locked", "newest"]:
        check(each)
