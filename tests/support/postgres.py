"""A PostgreSQL of our own, on 127.0.0.1, for tests and benchmarks."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from sqlalchemy import create_engine, text


def _binaries() -> Path | None:
    """Return the folder of PostgreSQL's server programs; Debian keeps them off the PATH."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    return folders[-1] if folders else None


def _server_user() -> str | None:
    """Return whom to run the server as: PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def is_installed() -> bool:
    """Say whether there are PostgreSQL's server programs."""
    return _binaries() is not None


@contextmanager
def running() -> Iterator[str]:
    """Run a server, and yield its SQLAlchemy URL without a database."""
    binaries = _binaries()
    assert binaries, "PostgreSQL is not installed"
    user, folder = _server_user(), Path(tempfile.mkdtemp(prefix="ledger-postgres-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if user:
        shutil.chown(folder, user)
    initdb = [binaries / "initdb", "-D", folder / "data", "-A", "trust", "-U", "ledger", "-E", "UTF8", "--no-sync"]
    subprocess.run(initdb, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)
    command = [binaries / "postgres", "-D", folder / "data", "-h", "127.0.0.1", "-p", str(port), "-F"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([*command, "-k", folder], user=user, cwd=folder, stdout=log, stderr=log)
    try:
        _wait_for(binaries, port, server, folder)
        yield f"postgresql+psycopg://ledger@127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder)


def _wait_for(binaries: Path, port: int, server: subprocess.Popen[bytes], folder: Path) -> None:
    ready = [binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    deadline = time.monotonic() + 30
    while subprocess.run(ready, check=False).returncode:
        if server.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"PostgreSQL did not start:\n{(folder / 'log').read_text()}")
        time.sleep(0.05)


def new_database(server: str, template: str | None = None) -> str:
    """Make a database, from a template or empty, and return its URL."""
    name = f"ledger_{uuid4().hex}"
    engine = create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else "")))
    engine.dispose()
    return f"{server}/{name}"


def program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs."""
    found = _binaries()
    assert found
    return str(found / name)
