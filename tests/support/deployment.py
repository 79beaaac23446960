"""docker-compose.yaml as plain processes, for machines without a container engine.

    with deployed(env_file) as deployment:                 # `docker compose up --wait`, with the profiles of `.env`
        deployment.url("api-server", 8080)
        deployment.execute("api-server", ["ometria-sync", "doctor"])
        deployment.kill("worker", 2)                       # kill -9 of all its processes
        deployment.start("worker", 2)

A container becomes a process with the very command and environment of the file. What differs, and nothing else:

| in a container | here |
| --- | --- |
| `service:port`; `127.0.0.1:port`, its own or published; its own port as a value or behind `--port` | a free port |
| `0.0.0.0` | `127.0.0.1` |
| `/opt/airflow`, `/data`, … | that path below a folder of this container's own |
| a named volume, a bind mount | a link to a folder that all share, to the checkout (not read-only) |
| HOSTNAME | `<service>-<number>` |
| our image | this Python's virtual environment, the `ENV` lines of the Dockerfile |
| redis | Debian's, by the same command |
| postgres | Debian's, with what the image does when its volume is empty; the same options |
| versitygw | moto's server, in memory: same port, any key |
| `restart: unless-stopped` | by `revive` |
| limits, capabilities, log rotation | none |
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from composefile import Service, read_env_file, services
from launcher import processes
from launcher.environment import HOST, free_port

CHECKOUT = Path(__file__).parents[2]
#: Seconds within which a part must be well, and a job must have ended.
LIMIT = 480.0
#: Where containers keep things.
_PATHS = re.compile(r"(?<![\w.])/(?:opt/airflow|data|var/lib/postgresql/data|docker-entrypoint-initdb\.d)(?![\w-])")
#: Variables of this machine that make programs work on it, not ours.
_MACHINE = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "TMPDIR", "LANG")


class NotWell(Exception):
    """A part ended, or is not well in time; with the end of its log."""


@dataclass
class Container:
    """What a service's container is here.

    :param root: folder that its paths lie in.
    """

    service: Service
    number: int
    root: Path
    environment: dict[str, str]
    command: list[str]
    health: list[str] | None
    process: subprocess.Popen[bytes] | None = None
    family: list[psutil.Process] = field(default_factory=list)

    @property
    def name(self) -> str:
        """How it is called in messages: `worker-2`."""
        return f"{self.service.name}-{self.number}"

    @property
    def log(self) -> Path:
        """File of its output."""
        return self.root.parent / f"{self.name}.log"

    @property
    def folder(self) -> Path:
        """Where its command runs."""
        home = self.root / "opt" / "airflow"
        return home if home.is_dir() else self.root

    def is_running(self) -> bool:
        """Say whether its main process lives."""
        return self.process is not None and self.process.poll() is None

    def tree(self) -> list[psutil.Process]:
        """Return its living processes, the main one first."""
        if not self.is_running():
            return []
        assert self.process
        main = psutil.Process(self.process.pid)
        return [main, *main.children(recursive=True)]


class Deployment:
    """The services of the profiles that `.env` names, each with its containers by number, from 1.

    :param folder: of its own; what the containers write lies here. Others must be able to look into it: PostgreSQL has
        a user of its own.
    :param scale: how many containers a service has, as `--scale` says it.
    :param extra: variables for every container of our image that the file does not set.
    """

    def __init__(
        self,
        env_file: Path,
        folder: Path,
        *,
        scale: Mapping[str, int] | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.variables = read_env_file(env_file)
        self.services = services(CHECKOUT / "docker-compose.yaml", self.variables)
        self._scale = {name: (scale or {}).get(name, each.replicas) for name, each in self.services.items()}
        self._extra = dict(extra or {})
        self._ports: dict[tuple[str, int, int], int] = {}
        self.containers: dict[tuple[str, int], Container] = {}
        #: Those that `revive` leaves alone.
        self.stopped: set[tuple[str, int]] = set()

    def up(self) -> None:
        """Start everything in the file's order, and return when all is well.

        :raises NotWell: when a part ended or is not well in time.
        """
        for service in self.services.values():
            self._wait_for_dependencies(service)
            for number in range(1, self._scale[service.name] + 1):
                self.start(service.name, number)
        self.wait_until_well()

    def start(self, name: str, number: int = 1) -> Container:
        """Start a container, for the first time or again; its folder and ports stay what they were."""
        container = self.containers.get((name, number)) or self._make(self.services[name], number)
        self.containers[name, number] = container
        if container.is_running():
            raise ValueError(f"{container.name} runs already")
        _prepare_postgres(container) if _is(container, "postgres") else None
        container.process = processes.spawn(
            container.command,
            home=self.folder,
            environment=container.environment,
            log=container.log,
            cwd=container.folder,
        )
        return container

    def stop(self, name: str, number: int = 1, *, patience: float = 30) -> None:
        """Ask a container to end, as `docker compose stop` does, and return when none of its processes is left."""
        container = self.containers[name, number]
        family = container.tree()
        if family:
            # PostgreSQL, told by SIGTERM, waits until its clients go.
            family[0].send_signal(signal.SIGINT if _is(container, "postgres") else signal.SIGTERM)
            _, left = psutil.wait_procs(family, timeout=patience)
            _kill(left)
        if container.process:
            container.process.wait()

    def kill(self, name: str, number: int = 1) -> None:
        """End all processes of a container at once (kill -9)."""
        container = self.containers[name, number]
        _kill(container.tree())
        if container.process:
            container.process.wait()

    def revive(self) -> list[str]:
        """Start again what ended by itself or was killed, as `restart: unless-stopped` does, and return their names."""
        revived = []
        for (name, number), container in list(self.containers.items()):
            if not container.service.is_job and not container.is_running() and (name, number) not in self.stopped:
                container.log.rename(container.log.with_suffix(f".{time.monotonic():.0f}.log"))
                self.start(name, number)
                revived.append(container.name)
        return revived

    def down(self) -> None:
        """End everything; no process is left when this returns."""
        for name, number in reversed(list(self.containers)):
            if not _is(self.containers[name, number], "postgres"):
                with contextlib.suppress(psutil.Error, IndexError):
                    self.containers[name, number].tree()[0].terminate()
        deadline = time.monotonic() + 8
        while any(each.is_running() and not _is(each, "postgres") for each in self.containers.values()):
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        processes.end(self.folder, patience=1)
        for name, number in self.containers:
            self.stop(name, number, patience=10)

    def execute(
        self, name: str, command: Sequence[str], number: int = 1, *, timeout: float = LIMIT
    ) -> subprocess.CompletedProcess[str]:
        """Run a command beside a container's own, as `docker compose exec` does."""
        container = self.containers[name, number]
        return subprocess.run(
            [self._here(each, container.service, number) for each in command],
            env=container.environment,
            cwd=container.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def is_well(self, name: str, number: int = 1) -> bool:
        """Say what the container's own health check says now; a job is well when it has ended well."""
        container = self.containers[name, number]
        if container.health is None:
            return container.process is not None and container.process.poll() == 0
        try:
            return self.execute(name, container.health, number, timeout=60).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def wait_until_well(self, *names: str, limit: float = LIMIT) -> None:
        """Return when the health checks of all containers (of some services) have said once that all is well.

        :raises NotWell: when one of them ended, or after so many seconds.
        """
        waiting = [key for key in self.containers if not names or key[0] in names]

        def are_well() -> bool:
            self.check()
            # One after the other: each look costs a process.
            while waiting and self.is_well(*waiting[0]):
                waiting.pop(0)
            return not waiting

        self.wait_for(are_well, lambda: ", ".join(self.containers[key].name for key in waiting), limit=limit)

    def check(self) -> None:
        """See that no container ended that should not have.

        :raises NotWell: with the end of its log.
        """
        for container in self.containers.values():
            if container.process is None or (code := container.process.poll()) is None:
                continue
            if not container.service.is_job or code:
                raise NotWell(f"{container.name} ended by itself (exit {code}).\n{self.end_of_log(container)}")

    def wait_for(self, done: Callable[[], object], what: Callable[[], str], *, limit: float = LIMIT) -> None:
        """Return when something is so.

        :param what: names those whose logs tell more, or else what is waited for.
        :raises NotWell: after so many seconds.
        """
        deadline = time.monotonic() + limit
        while not done():
            if time.monotonic() > deadline:
                logs = [self.end_of_log(each) for each in self.containers.values() if each.name in what()]
                raise NotWell("\n".join([f"Not well after {limit:.0f} s: {what()}", *logs]))
            time.sleep(0.25)

    def end_of_log(self, container: Container, lines: int = 40) -> str:
        """Return the last lines of a container's output."""
        text = container.log.read_text(errors="replace") if container.log.exists() else "(no output)"
        return "\n".join([f"--- {container.name}", *text.splitlines()[-lines:]])

    def who_logged(self, name: str, words: str) -> int | None:
        """Return the number of the container of a service that said some words last, now or before a restart."""
        logs = sorted(self.folder.glob(f"{name}-*.log"), key=lambda log: log.stat().st_mtime)
        numbers = [
            int(log.name.split(".")[0].split("-")[-1]) for log in logs if words in log.read_text(errors="replace")
        ]
        return numbers[-1] if numbers else None

    def url(self, name: str, port: int, number: int = 1) -> str:
        """Return the root of what a container serves on one of its ports."""
        return f"http://{HOST}:{self._port(name, number, port)}"

    def ledger_url(self) -> str:
        """Return the ledger's address, as the parts see it, for looking into it from a test."""
        return next(
            each.environment["AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN"]
            for each in self.containers.values()
            if each.service.name == "api-server"
        )

    def _wait_for_dependencies(self, service: Service) -> None:
        self.wait_until_well(*[name for name, number in self.containers if name in service.depends_on])

    def _make(self, service: Service, number: int) -> Container:
        root = self.folder / f"{service.name}-{number}"
        root.mkdir()
        if service.is_built:
            (root / "opt" / "airflow").mkdir(parents=True)
        for inside, source in service.mounts.items():
            _link(root / inside.lstrip("/"), self._source(source))
        for inside, content in service.configs.items():
            file = root / inside.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        given = {**(_image_environment() | self._extra if service.is_built else {}), **service.environment}
        environment = {name: self._here(value, service, number) for name, value in given.items()}
        environment |= {name: os.environ[name] for name in _MACHINE if name in os.environ}
        environment |= {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(root),
            "HOSTNAME": f"{service.name}-{number}",
            "NO_PROXY": f"{HOST},localhost",
            "no_proxy": f"{HOST},localhost",
        }
        container = Container(service, number, root, environment, [], None)
        container.command = self._command(container)
        container.health = service.health and [self._here(each, service, number) for each in service.health]
        if _is(container, "versity/versitygw"):
            container.health = [
                sys.executable,
                "-c",
                f"import socket; socket.create_connection(('{HOST}', {self._port(service.name, number, 7070)}))",
            ]
        return container

    def _source(self, source: str) -> Path:
        """Return what a mount's source is here."""
        path = source.removesuffix(":ro")
        if path.startswith("."):
            return (CHECKOUT / path).resolve()
        volume = self.folder / "volumes" / path
        volume.mkdir(parents=True, exist_ok=True)
        return volume

    def _command(self, container: Container) -> list[str]:
        service, number = container.service, container.number
        given = [self._here(each, service, number) for each in service.command or []]
        if _is(container, "postgres"):
            port = str(self._port(service.name, number, 5432))
            data = str(container.root / "var/lib/postgresql/data")
            server = [str(_postgres_binaries() / given[0]), *given[1:], "-D", data, "-p", port, "-h", HOST, "-k", ""]
            return [*_as_server_user(), *server]
        if _is(container, "versity/versitygw"):
            return ["moto_server", "-H", HOST, "-p", str(self._port(service.name, number, 7070))]
        return given

    def _port(self, name: str, number: int, port: int) -> int:
        return self._ports.setdefault((name, number, port), free_port())

    def _here(self, text: str, service: Service, number: int) -> str:
        """Return a text of the file as it has to read on this machine: the table at the head of this module."""
        if text.isdigit():
            return str(self._port(service.name, number, int(text))) if int(text) in service.ports else text
        known = {
            **{
                f"{other.name}:{port}": (other.name, 1, port)
                for other in self.services.values()
                for port in other.ports
            },
            **{
                address: (other.name, 1, port)
                for other in self.services.values()
                for address, port in other.published.items()
            },
            **{f"{host}:{port}": (service.name, number, port) for host in _HERE for port in service.ports},
        }
        options = {f"{option} {port}": port for option in ("-p", "--port") for port in service.ports}
        places = [rf"(?<![\w.-])(?P<place>{'|'.join(map(re.escape, known))})(?!\d)"] if known else []
        places += [rf"(?P<option>{'|'.join(map(re.escape, options))})(?!\d)"] if options else []
        pattern = re.compile("|".join([*places, r"(?P<anywhere>0\.0\.0\.0)", rf"(?P<path>{_PATHS.pattern})"]))

        def here(match: re.Match[str]) -> str:
            groups = match.groupdict()
            if groups.get("place"):
                return f"{HOST}:{self._port(*known[match[0]])}"
            if groups.get("option"):
                return f"{match[0].split()[0]} {self._port(service.name, number, options[match[0]])}"
            if groups["anywhere"]:
                return HOST
            return f"{self.folder}/{service.name}-{number}{match[0]}"

        return pattern.sub(here, text)


_HERE = ("127.0.0.1", "localhost", "0.0.0.0")


@contextlib.contextmanager
def deployed(
    env_file: Path,
    *,
    scale: Mapping[str, int] | None = None,
    extra: Mapping[str, str] | None = None,
    prepare: Callable[[Deployment], None] = lambda _deployment: None,
) -> Iterator[Deployment]:
    """Run the deployment in a temporary folder, and end it and remove the folder at the end.

    :param prepare: changes something before it is up.
    """
    folder = Path(tempfile.mkdtemp(prefix="deployment-")).resolve()
    folder.chmod(0o711)
    deployment = Deployment(env_file, folder, scale=scale, extra=extra)
    try:
        prepare(deployment)
        deployment.up()
        yield deployment
    finally:
        deployment.down()
        shutil.rmtree(folder, ignore_errors=True)


def _image_environment() -> dict[str, str]:
    """Return what the last stage of the Dockerfile sets, but the PATH."""
    text = (CHECKOUT / "Dockerfile").read_text().replace("\\\n", " ")
    stage = re.split(r"(?m)^FROM .*$", text)[-1]
    pairs = [each.split("=", 1) for line in re.findall(r"(?m)^ENV (.*)$", stage) for each in shlex.split(line)]
    return {name: value for name, value in pairs if name != "PATH"}


def _is(container: Container, image: str) -> bool:
    return container.service.image.partition(":")[0] == image


def _link(inside: Path, source: Path) -> None:
    inside.parent.mkdir(parents=True, exist_ok=True)
    inside.symlink_to(source)


def _kill(found: Sequence[psutil.Process]) -> None:
    for each in found:
        with contextlib.suppress(psutil.Error):
            each.kill()
    psutil.wait_procs(list(found), timeout=10)


def _postgres_binaries() -> Path:
    """Return the folder of PostgreSQL's newest server programs; Debian keeps them off the PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    if not folders:
        raise NotWell("PostgreSQL is not installed (apt-get install postgresql)")
    return folders[-1]


def _server_user() -> str | None:
    """Return whom PostgreSQL runs as: it refuses to run as root."""
    if os.getuid() != 0:
        return None
    return "postgres" if "postgres" in {each.pw_name for each in pwd.getpwall()} else "nobody"


def _as_server_user() -> list[str]:
    user = _server_user()
    return ["setpriv", f"--reuid={user}", "--clear-groups"] if user else []


def _prepare_postgres(container: Container) -> None:
    """Do what the image does when its volume is empty: make the cluster, run what lies in its initialisation folder."""
    data = container.root / "var/lib/postgresql/data"
    if (data / "PG_VERSION").exists():
        return
    if user := _server_user():
        shutil.chown(data.resolve(), user)
    password = container.root / "password"
    password.write_text(container.environment["POSTGRES_PASSWORD"])
    programs = _postgres_binaries()

    def quietly(*command: str | Path) -> None:
        done = subprocess.run(
            [*_as_server_user(), *map(str, command)],
            env={"PATH": "/usr/bin:/bin", "PGPASSWORD": container.environment["POSTGRES_PASSWORD"]},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise NotWell(f"PostgreSQL could not be made: {done.stdout}{done.stderr}")

    quietly(
        programs / "initdb",
        "-D",
        data,
        "-U",
        "postgres",
        "-A",
        "scram-sha-256",
        f"--pwfile={password}",
        "-E",
        "UTF8",
        "--no-sync",
    )
    socket_only = f"-c listen_addresses='' -k {data}"
    quietly(programs / "pg_ctl", "-D", data, "-w", "-l", data / "first.log", "-o", socket_only, "start")
    try:
        for file in sorted((container.root / "docker-entrypoint-initdb.d").glob("*.sql")):
            quietly("psql", "-h", data.resolve(), "-U", "postgres", "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "-f", file)
    finally:
        quietly(programs / "pg_ctl", "-D", data, "-w", "-m", "fast", "stop")
