"""docker-compose.yaml, Dockerfile and `.env`: valid, and what no schema asks for."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from composefile import ComposeError, interpolate, load, read_env_file, services
from env_file import PROFILES, env_text, write_env_file
from ruamel.yaml import YAML

CHECKOUT = Path(__file__).parents[2]
COMPOSE = CHECKOUT / "docker-compose.yaml"
DOCKERFILE = CHECKOUT / "Dockerfile"
#: Jobs end by themselves: nothing asks whether they are well.
JOBS = {"migrate", "bucket"}
BINARIES = Path(sys.executable).parent


@pytest.fixture(scope="module")
def raw() -> dict[str, Any]:
    content: dict[str, Any] = YAML(typ="safe").load(COMPOSE.read_text())
    return content


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("env") / ".env"
    write_env_file(path, PROFILES)
    return read_env_file(path)


def names(*, built: bool = False) -> list[str]:
    """Return the services; those of our own image if `built`."""
    found = YAML(typ="safe").load(COMPOSE.read_text())["services"]
    images = {service["image"] for service in found.values() if "build" in service}
    return [name for name, service in found.items() if service["image"] in images or not built]


def test_compose_file_fits_the_specification_s_schema() -> None:
    check = [BINARIES / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_dockerfile_pleases_its_linter() -> None:
    done = subprocess.run([BINARIES / "hadolint", DOCKERFILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", names())
def test_service_is_pinned_limited_watched_and_its_logs_end(raw: dict[str, Any], name: str) -> None:
    service = raw["services"][name]
    image, _, tag = service["image"].partition(":")
    assert image and re.match(r"v?\d+\.\d+|\$\{IMAGE_TAG:-checkout\}", tag), service["image"]
    limits = service["deploy"]["resources"]["limits"]
    assert limits.keys() == {"cpus", "memory"}
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service["healthcheck"] == {"disable": True} if name in JOBS else service["healthcheck"]["test"]
    assert service["restart"] == ("on-failure:3" if name in JOBS else "unless-stopped")


@pytest.mark.parametrize("name", names(built=True))
def test_service_of_ours_has_no_rights_to_spare(raw: dict[str, Any], name: str) -> None:
    service = raw["services"][name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    mounts = [each for each in service.get("volumes", []) if each.startswith(".")]
    assert all(each.endswith(":ro") for each in mounts)
    assert {each.split(":")[0] for each in mounts} == (set() if name == "sandbox" else {"./dags", "./include"})


def test_image_is_built_once_and_pulled_by_nobody(raw: dict[str, Any]) -> None:
    found = raw["services"]
    assert [name for name, service in found.items() if "build" in service] == ["migrate"]
    assert set(names(built=True)) == found.keys() - {"postgres", "redis", "s3"}
    assert {found[name]["pull_policy"] for name in names(built=True)} == {"never"}


@pytest.mark.parametrize("cores", [1, 2, 4, 64])
def test_limits_are_those_that_a_machine_of_so_many_cores_grants(tmp_path: Path, cores: int) -> None:
    (tmp_path / ".env").write_text(env_text(PROFILES, cores))
    found = load(COMPOSE, read_env_file(tmp_path / ".env"))["services"]
    limits = {name: float(service["deploy"]["resources"]["limits"]["cpus"]) for name, service in found.items()}
    assert max(limits.values()) <= cores
    # Four tasks run in these.
    assert limits["worker"] == limits["scheduler"] == min(4, cores)


def test_limits_without_a_word_in_the_env_file_are_granted_everywhere(variables: dict[str, str]) -> None:
    found = load(COMPOSE, {name: value for name, value in variables.items() if name != "CPUS"})["services"]
    assert {float(service["deploy"]["resources"]["limits"]["cpus"]) for service in found.values()} == {1.0}


@pytest.mark.parametrize("name", ["scheduler", "worker"])
def test_part_that_runs_tasks_is_given_time_to_end_them(raw: dict[str, Any], name: str) -> None:
    assert raw["services"][name]["stop_grace_period"] == "15m"


def test_broker_is_started_as_the_program_for_which_its_image_leaves_root(raw: dict[str, Any]) -> None:
    assert raw["services"]["redis"]["command"][0] == "redis-server"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"AIRFLOW_PORT": "9090"}, "http://127.0.0.1:9090"),
        ({"AIRFLOW_PORT": "9090", "AIRFLOW_BASE_URL": "https://sync.example.com"}, "https://sync.example.com"),
    ],
    ids=["nothing", "a port", "an address"],
)
def test_address_that_browsers_are_sent_to_goes_by_the_port(
    variables: dict[str, str], given: dict[str, str], url: str
) -> None:
    found = services(COMPOSE, variables | given)["api-server"]
    assert found.environment["AIRFLOW__API__BASE_URL"] == url
    assert found.published == {f"127.0.0.1:{given.get('AIRFLOW_PORT', '8080')}": 8080}


@pytest.mark.parametrize("name", names())
def test_service_publishes_its_ports_on_this_machine_only(raw: dict[str, Any], name: str) -> None:
    assert all(each.startswith("127.0.0.1:") for each in raw["services"][name].get("ports", []))


def test_compose_file_holds_no_secret_and_no_default_for_one(variables: dict[str, str]) -> None:
    secrets = {name for name in variables if re.search(r"_(PASSWORD|KEY|SECRET)$", name)}
    used = re.findall(r"\$\{(\w+)(:[-?])?([^}]*)\}", COMPOSE.read_text())
    assert secrets <= {name for name, _, _ in used}
    for name, how, other in used:
        if name in secrets:
            assert (how, other) in {("", ""), (":?", "run make env")}, name
    assert {name for name, how, _ in used if how == ":?"} == secrets
    text = COMPOSE.read_text()
    assert not re.search(r"(?i)(password|secret|_key)\w*[\"']?: [\"']?(?!\$|&|\S*\$\{)\w", text)


def test_compose_file_asks_for_the_env_file_by_name(variables: dict[str, str]) -> None:
    without = {name: value for name, value in variables.items() if name != "AIRFLOW_FERNET_KEY"}
    with pytest.raises(ComposeError, match="AIRFLOW_FERNET_KEY is not set: run make env"):
        load(COMPOSE, without)


@pytest.mark.parametrize(
    ("profiles", "more"),
    [
        ("", set()),
        ("celery", {"redis", "worker"}),
        ("sandbox", {"sandbox"}),
        ("s3", {"s3", "bucket"}),
        ("celery,sandbox,s3", {"redis", "worker", "sandbox", "s3", "bucket"}),
    ],
)
def test_profile_adds_its_services_in_the_order_of_start(
    variables: dict[str, str], profiles: str, more: set[str]
) -> None:
    variables = {**variables, "COMPOSE_PROFILES": profiles, "AIRFLOW_FERNET_KEY": "x"}
    found = services(COMPOSE, variables)
    always = {"postgres", "migrate", "api-server", "scheduler", "dag-processor", "triggerer"}
    assert set(found) == always | more
    order = list(found)
    for service in found.values():
        assert all(order.index(other) < order.index(service.name) for other in service.depends_on)
    assert order.index("postgres") < order.index("migrate") < order.index("api-server") < order.index("scheduler")


def test_service_waits_until_what_it_needs_is_well_or_done(variables: dict[str, str]) -> None:
    found = services(COMPOSE, {**variables, "COMPOSE_PROFILES": ",".join(PROFILES), "AIRFLOW_FERNET_KEY": "x"})
    for service in found.values():
        for other, condition in service.depends_on.items():
            is_done_with = "service_completed_successfully" if found[other].is_job else "service_healthy"
            assert condition == is_done_with, f"{service.name} → {other}"


def test_parts_share_keys_and_addresses(variables: dict[str, str]) -> None:
    found = services(COMPOSE, variables)
    names = ("api-server", "scheduler", "dag-processor", "triggerer", "worker")
    parts = [found[name].environment for name in names]
    assert all(each == parts[0] for each in parts)
    assert parts[0]["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://api-server:8080/execution/"
    assert parts[0]["AIRFLOW__API_AUTH__JWT_SECRET"] == variables["AIRFLOW_JWT_SECRET"]
    databases = {
        parts[0][f"AIRFLOW__{name}"] for name in ("DATABASE__SQL_ALCHEMY_CONN", "OMETRIA__LEDGER_SQL_ALCHEMY_CONN")
    }
    assert {each.split("@")[1] for each in databases} == {"postgres:5432/airflow", "postgres:5432/ometria_sandbox"}
    assert len({re.search(r"//(\w+):", each)[1] for each in databases}) == 2


def test_env_file_has_what_the_compose_file_asks_for_and_nothing_else() -> None:
    asked = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text()))
    optional = {"IMAGE_TAG", "AIRFLOW_BASE_URL", "AIRFLOW_PORT", "WORKER_CONCURRENCY"}
    written = set(re.findall(r"(?m)^#?([A-Z_0-9]+)=", env_text([])))
    given = set(re.findall(r"(?m)^    (AIRFLOW_CONN_\w+):$", COMPOSE.read_text()))
    assert asked - optional == written - given - {"COMPOSE_PROFILES"}
    assert written - asked - {"COMPOSE_PROFILES"} <= given


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a${X}b", "a1b"),
        ("${Y:-2}", "2"),
        ("${X:-2}", "1"),
        ("$$HOME", "$HOME"),
        ("${EMPTY:-3}", "3"),
        ("${X:?no}", "1"),
        ("${Y:-2${X}${Z:-3}}4", "2134"),
        ("${X:-2${Y}}", "1"),
    ],
)
def test_interpolation_is_the_specification_s(text: str, expected: str) -> None:
    assert interpolate(text, {"X": "1", "EMPTY": ""}) == expected


@pytest.mark.parametrize("text", ["$HOME", "${Y}", "${Y:?say}", "${X:+2}", "${Y:-2${Z}}"])
def test_interpolation_refuses_what_is_missing_or_unknown(text: str) -> None:
    with pytest.raises(ComposeError):
        interpolate(text, {"X": "1"})


def test_image_is_built_in_stages_for_nobody_special() -> None:
    text = DOCKERFILE.read_text()
    first, last = re.split(r"(?m)^FROM ", text)[1:]
    assert re.search(r"(?m)^USER 50000:0$", last)
    assert re.search(r"python -m compileall", first)
    assert not re.search(r"apt-get|gcc|build-essential|pip install", last)
    assert re.search(r"ARG PYTHON=3\.11\.\d+-slim-\w+", text)


@contextlib.contextmanager
def called(name: str, *arguments: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program that the image has at its root, and end what is left of it."""
    assert re.search(r"(?m)^COPY scripts/image/ /$", DOCKERFILE.read_text())
    command = [CHECKOUT / "scripts" / "image" / name, *arguments]
    environment = {**os.environ, **more}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize(("command", "code"), [(["true"], 0), (["false"], 1)], ids=["well", "not well"])
def test_entrypoint_that_probes_of_the_helm_chart_call_is_the_command_itself(command: list[str], code: int) -> None:
    with called("entrypoint", *command) as process:
        assert process.wait(timeout=30) == code


@pytest.mark.timeout(60)
def _children(pid: int) -> set[str]:
    """Return the names of a process's children; none when one of them has ended meanwhile."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return {child.name() for child in psutil.Process(pid).children()}
    return set()


def test_log_groomer_of_the_helm_chart_removes_old_files_and_ends_when_it_is_told(tmp_path: Path) -> None:
    old, new = tmp_path / "logs" / "old" / "1.log", tmp_path / "logs" / "new" / "2.log"
    for file in (old, new):
        file.parent.mkdir(parents=True)
        file.touch()
    os.utime(old, (0, 0))
    with called("clean-logs", AIRFLOW_HOME=str(tmp_path), AIRFLOW__LOG_RETENTION_DAYS="3") as process:
        assert process.stdout
        assert process.stdout.readline() == f"{old}\n"
        while "sleep" not in _children(process.pid):
            time.sleep(0.05)
        assert not old.parent.exists()
        assert new.exists()
        process.terminate()
        assert process.wait(timeout=10) == 0


def test_build_context_leaves_out_everything_but_what_the_image_is_made_of() -> None:
    lines = [line for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    copied = re.findall(r"(?m)^COPY (?!--from)(.*) \S+$", DOCKERFILE.read_text())
    assert {each.rstrip("/") for line in copied for each in line.split()} == {
        each.removeprefix("!") for each in lines if each.startswith("!")
    }
    assert ".env" in (CHECKOUT / ".gitignore").read_text().splitlines()
