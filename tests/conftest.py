"""The whole session has an Airflow home of its own, made before anything imports Airflow.

Nothing that the caller's shell says of Airflow reaches a test: no connection, no ledger, no folder.
"""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from object_store import ObjectStore, object_store

_CHECKOUT = Path(__file__).parent.parent
_MEMORY = Path("/dev/shm")


def _lie_in_memory() -> None:
    """Let temporary folders lie in memory when there is plenty of it, unless the caller chose a place.

    A commit of SQLite waits for the disk, milliseconds each: as long as all that these tests compute.
    """
    if "TMPDIR" not in os.environ and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > 4 * 1024**3:
        os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)


_lie_in_memory()
# Airflow is a million objects that stay: looking through them for garbage again and again costs a tenth of the time.
gc.set_threshold(50_000, 50, 50)
_HOME = Path(tempfile.mkdtemp(prefix="airflow-tests-"))
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)

for _name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
    del os.environ[_name]
os.environ.update(
    AIRFLOW_HOME=str(_HOME),
    AIRFLOW__CORE__DAGS_FOLDER=str(_CHECKOUT / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(_CHECKOUT / "plugins"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{_HOME / 'airflow.db'}",
    NO_PROXY="127.0.0.1,localhost",
    no_proxy="127.0.0.1,localhost",
)


@pytest.fixture(scope="session")
def bucket() -> Iterator[ObjectStore]:
    """Run one store for the session: Airflow keeps the client of a connection for the life of a process."""
    pytest.importorskip("moto.server")
    with object_store() as running:
        yield running
