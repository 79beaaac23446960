"""Which accounts a run uses: the caller's, or the sandbox's. Made-up members never reach a real account."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import urllib.parse
from collections.abc import Iterable, Mapping

from launcher.errors import Refused

#: Antavo's and Ometria's connection id of a mapping.
Pair = tuple[str, str]


def variable(connection_id: str) -> str:
    """Return the environment variable that Airflow reads a connection from."""
    return f"AIRFLOW_CONN_{connection_id.upper()}"


def stand_ins(pairs: Iterable[Pair], given: Mapping[str, str | None]) -> set[str]:
    """Return the connection ids that the sandbox stands in for.

    :param given: host of every connection that is configured (None or empty: it names none).
    :raises Refused: when one of a pair is given, is not on this machine, and the other is missing.
    """
    missing: set[str] = set()
    for pair in pairs:
        here, absent = [each for each in pair if each in given], [each for each in pair if each not in given]
        if here and absent and not is_local(given[here[0]]):
            raise Refused(
                f"Connection `{here[0]}` is given and `{absent[0]}` is not. The sandbox's made-up members would meet "
                f"a real account, so nothing was started. Set {variable(absent[0])} too, or unset "
                f"{variable(here[0])} to run with the sandbox alone."
            )
        missing.update(absent)
    return missing


def given_connections(
    ids: Iterable[str], environment: Mapping[str, str], stored: Mapping[str, str | None]
) -> dict[str, str | None]:
    """Return the host of every connection that is configured: in the environment, else in Airflow's database.

    :raises Refused: for a variable that cannot be read; its value is not shown, as it holds a key.
    """
    given = dict(stored)
    for each in ids:
        if text := environment.get(variable(each)):
            given[each] = host_of(each, text)
    return {each: given[each] for each in ids if each in given}


def host_of(connection_id: str, text: str) -> str | None:
    """Return the host of a connection in one of Airflow's two forms, JSON or URI."""
    try:
        if text.lstrip().startswith("{"):
            host = json.loads(text).get("host")
            return str(host) if host else None
        parsed = urllib.parse.urlsplit(text)
        if not parsed.scheme:
            raise ValueError("no scheme")
        return urllib.parse.unquote(parsed.netloc.rpartition("@")[2].partition(":")[0]) or parsed.hostname
    except (ValueError, AttributeError) as error:
        raise Refused(
            f"{variable(connection_id)} is neither a connection as JSON nor as a URI; "
            'write for example {"conn_type": "ometria", "password": "…"}.'
        ) from error


def is_local(host: str | None) -> bool:
    """Say whether a connection's host, a URL or a plain name, is this machine."""
    if not host:
        return False
    name = urllib.parse.urlsplit(host if "//" in host else f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def fingerprint(environment: Mapping[str, str]) -> str:
    """Return a digest of everything in the caller's environment that decides which accounts and folders are used."""
    names = sorted(
        name for name in environment if name.startswith(("AIRFLOW_CONN_", "AIRFLOW__OMETRIA__", "AIRFLOW__CORE__DAGS"))
    )
    text = json.dumps([(name, environment[name]) for name in names])
    return hashlib.sha256(text.encode()).hexdigest()
