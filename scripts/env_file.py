"""Write `.env` for docker-compose.yaml, once: random secrets, and what follows from the chosen profiles.

`make env PROFILES=celery,s3`. Needs nothing but Python. An `.env` that is there is never touched.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from collections.abc import Collection
from pathlib import Path

PROFILES = ("celery", "sandbox", "s3")
_SANDBOX = "http://sandbox:8765"
#: What the stand-ins of the profile `sandbox` take: their own defaults, which guard nothing.
_CONNECTIONS = {
    "AIRFLOW_CONN_ANTAVO_DEFAULT": {
        "conn_type": "antavo",
        "host": f"{_SANDBOX}/loyalty",
        "login": "sandbox-key",
        "password": "sandbox-secret",
        "extra": {"read_api_url": f"{_SANDBOX}/read", "credential_scope": "sandbox/api/antavo_request"},
    },
    "AIRFLOW_CONN_OMETRIA_DEFAULT": {
        "conn_type": "ometria",
        "host": f"{_SANDBOX}/ometria",
        "password": "sandbox-ometria-key",
    },
}


def env_text(profiles: Collection[str], cores: int = 1) -> str:
    """Return the content of a new `.env`.

    :param cores: how many the machine has: Docker refuses a limit above that.
    """
    celery, sandbox, s3 = (each in profiles for each in PROFILES)
    lines = [
        "# Written by `make env` for docker-compose.yaml. It holds secrets: keep it private, back it up apart from the",
        "# databases, and leave it out of version control. Passwords are of letters and digits, as they stand in URLs.",
        "",
        "# Which optional parts run: celery, sandbox, s3. Executor, staging and ledger below belong to them.",
        f"COMPOSE_PROFILES={','.join(each for each in PROFILES if each in profiles)}",
        f"AIRFLOW_EXECUTOR={'CeleryExecutor' if celery else 'LocalExecutor'}",
        f"AIRFLOW_PARALLELISM={16 if celery else 4}",
        "WORKERS=2",
        "# How many cores one part may take at most: Docker refuses more than it has itself (`docker info`).",
        f"CPUS={min(4, cores)}",
        "# Of one DAG at once: fewer than workers have room for, so that no sync keeps others and campaigns waiting.",
        f"AIRFLOW_TASKS_PER_DAG={6 if celery else 3}",
        f"STAGING_PATH={'s3://staging@ometria-staging/runs' if s3 else 'file:///opt/airflow/staging'}",
        "# A ledger says what an account holds: the sandbox and real accounts never share one.",
        f"LEDGER_DATABASE={'ometria_sandbox' if sandbox else 'ometria_ledger'}",
        "",
        "# The accounts: docs/how-to/first-real-sync.md. More of them: in Airflow's UI.",
        *_connections(sandbox),
        "",
        "# The password of Airflow's first user, admin; later ones change it in Airflow.",
        f"AIRFLOW_ADMIN_PASSWORD={secrets.token_hex(16)}",
        "",
        "# PostgreSQL: its owner, the role of Airflow's database, the role of the ledger's.",
        f"POSTGRES_PASSWORD={secrets.token_hex(24)}",
        f"AIRFLOW_DB_PASSWORD={secrets.token_hex(24)}",
        f"LEDGER_DB_PASSWORD={secrets.token_hex(24)}",
        "# The broker, and the object store of the profile s3.",
        f"REDIS_PASSWORD={secrets.token_hex(24)}",
        f"S3_ACCESS_KEY={secrets.token_hex(10)}",
        f"S3_SECRET_KEY={secrets.token_hex(24)}",
        "# Airflow: connections in its database are encrypted with the first, and lost without it; tasks, API and",
        "# sessions are signed with the others.",
        f"AIRFLOW_FERNET_KEY={base64.urlsafe_b64encode(os.urandom(32)).decode()}",
        f"AIRFLOW_JWT_SECRET={secrets.token_hex(64)}",
        f"AIRFLOW_SECRET_KEY={secrets.token_hex(32)}",
    ]
    return "\n".join(lines) + "\n"


def _connections(sandbox: bool) -> list[str]:
    if sandbox:
        return [f"{name}='{json.dumps(content)}'" for name, content in _CONNECTIONS.items()]
    return [
        """#AIRFLOW_CONN_ANTAVO_DEFAULT='{"conn_type": "antavo", "host": "…", "login": "KEY", "password": "SECRET"}'""",
        """#AIRFLOW_CONN_OMETRIA_DEFAULT='{"conn_type": "ometria", "password": "KEY"}'""",
    ]


def write_env_file(path: Path, profiles: Collection[str]) -> bool:
    """Write the file for its owner alone to read; return False, having touched nothing, when there is one.

    :raises ValueError: for a profile that docker-compose.yaml does not have.
    """
    if unknown := set(profiles) - set(PROFILES):
        raise ValueError(f"No such profile: {', '.join(sorted(unknown))}. There are {', '.join(PROFILES)}.")
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(file, "w", encoding="utf-8") as stream:
        stream.write(env_text(profiles, os.cpu_count() or 1))
    return True


def main(arguments: list[str]) -> int:
    """Write `.env` in the working folder; 0 also when there is one."""
    path = Path(".env")
    profiles = [each for text in arguments for each in text.split(",") if each]
    try:
        written = write_env_file(path, profiles)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if written:
        print(f"Wrote {path.resolve()}, for you alone to read. Airflow's first user is admin, AIRFLOW_ADMIN_PASSWORD.")
    else:
        print(f"{path.resolve()} is there already and was left as it is. Change it by hand, or move it away first.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
