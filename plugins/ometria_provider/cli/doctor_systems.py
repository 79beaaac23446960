"""What `doctor` asks of the systems: do they answer, is the clock right, who would be told, who may send."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import TYPE_CHECKING, Any

from ometria_provider.cli.check import Check
from ometria_provider.cli.connect import antavo, ometria
from ometria_provider.delivery.error_log import WINDOW, LogEntry, news
from ometria_provider.delivery.plan import list_problem
from ometria_provider.exceptions import SyncError
from ometria_provider.text import moment

if TYPE_CHECKING:
    from ometria_provider.hooks.antavo import AntavoHook
    from ometria_provider.hooks.ometria import OmetriaHook
    from ometria_provider.ledger.engine import Ledger
    from ometria_provider.mapping.model import Mapping
    from ometria_provider.settings import Settings
    from ometria_provider.workflows.model import Workflow

#: How long ago the watch may have looked last; it does so every five minutes.
WATCH_WITHIN = timedelta(minutes=30)


def connections(ledger: Ledger | None, mappings: Sequence[Mapping], workflows: Sequence[Workflow]) -> Iterator[Check]:
    """Check every connection that a file names (the default ones when there is no file), each list and error log."""
    from ometria_provider.hooks.antavo import AntavoHook
    from ometria_provider.hooks.ometria import OmetriaHook

    named = [mapping.connections for mapping in mappings] + [workflow.connections for workflow in workflows]
    sources = {connections.antavo for connections in named} or {AntavoHook.default_conn_name}
    targets = {connections.ometria for connections in named} or {OmetriaHook.default_conn_name}
    hooks: list[AntavoHook | OmetriaHook] = []
    answering: dict[str, Any] = {}
    for conn_id, make in [*((id_, antavo) for id_ in sorted(sources)), *((id_, ometria) for id_ in sorted(targets))]:
        hook, check = _answers(conn_id, make)
        yield check
        if hook is not None and hook.skew is not None:
            yield clock(conn_id, hook.skew)
        hooks += [hook] if hook else []
        if check.state == "ok":
            answering[conn_id] = hook
    yield from _same_keys(hooks)
    for conn_id in sorted(targets & answering.keys()):
        yield _error_log(ledger, answering[conn_id])
    for mapping in mappings:
        if hook := answering.get(mapping.connections.ometria):
            yield _list(mapping, hook)


def _answers(conn_id: str, make: Any) -> tuple[Any, Check]:
    """Ask one system; its own words name the fault: keys, signature, clock, URL."""
    subject = f"connection {conn_id}"
    try:
        hook = make(conn_id)
        good, words = hook.test_connection()
    except SyncError as error:
        return None, Check("fail", subject, str(error))
    return hook, Check("ok" if good else "fail", subject, words)


def clock(conn_id: str, skew: float) -> Check:
    """Compare this machine's clock with the server's: a signature holds its time (contract/antavo.md, "Traps")."""
    apart = f"this machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the server's"
    subject = f"clock against {conn_id}"
    if abs(skew) > 300:
        return Check("fail", subject, f"{apart}; signatures allow 300 s. Set it (NTP).")
    if abs(skew) > 60:
        return Check("warn", subject, f"{apart}; at 300 s Antavo refuses signatures. Set it (NTP).")
    return Check("ok", subject, f"{abs(skew):.0f} s apart")


def _same_keys(hooks: Sequence[AntavoHook | OmetriaHook]) -> Iterator[Check]:
    """Warn when two connections hold one key: each would use the account's whole rate limit."""
    for first, second in combinations(hooks, 2):
        if type(first) is type(second) and _key(first) == _key(second) != "":
            words = (
                "hold the same key: one connection stands for one account. Both would use its whole rate limit, and "
                "each keeps its own record of what Ometria holds. Use one of them in all mappings."
            )
            yield Check("warn", f"connections {first.conn_id}, {second.conn_id}", words)


def _key(hook: AntavoHook | OmetriaHook) -> str:
    """Return what names the account: Antavo's key is the login, Ometria's the password."""
    connection = hook.get_connection(hook.conn_id)
    key = connection.login if hook.service == "Antavo" else connection.password
    return (key or "").strip()


def _list(mapping: Mapping, hook: OmetriaHook) -> Check:
    subject = f"list {mapping.list} of {mapping.name}"
    try:
        found = hook.contact_list(mapping.list)
    except SyncError as error:
        return Check("fail", subject, str(error))
    if problem := list_problem(found, mapping=mapping.name, list_id=mapping.list, connection=hook.conn_id):
        return Check("fail", subject, problem)
    return Check("ok", subject, f"{found.title!r}, {found.type}" if found else "")


def _error_log(ledger: Ledger | None, hook: OmetriaHook) -> Check:
    """Say what Ometria's error log gained since the last look; whose the errors are it does not say."""
    subject = f"error log of {hook.conn_id}"
    try:
        entries = [LogEntry(*entry) for entry in hook.push_errors()]
    except SyncError as error:
        return Check("fail", subject, str(error))
    from ometria_provider.ledger.error_looks import last_look

    before = last_look(ledger, hook.conn_id) if ledger else None
    gained = news([LogEntry(*entry) for entry in before.entries] if before else [], entries).errors
    full = f" The log is full: it holds the {WINDOW} latest." if len(entries) >= WINDOW else ""
    since = f"since the last look ({moment(before.looked_at)})" if before else "and no run has looked yet"
    if not gained:
        return Check("ok", subject, f"{_errors(len(entries))}, none new {since}" if entries else "empty")
    kinds = Counter({f"{entry.path}: {entry.message}": count for entry, count in gained.items()})
    most = "; ".join(f"{count} × {words}" for words, count in kinds.most_common(3))
    words = f"{_errors(sum(gained.values()))} {since}: {most}.{full} The next run finds out whether they are its own."
    return Check("warn", subject, words)


def _errors(count: int) -> str:
    return f"{count} error{'' if count == 1 else 's'}"


def webhooks(workflows: Sequence[Workflow]) -> Iterator[Check]:
    """Check who may send webhooks; whoever wants none has no connection for them, and nothing is said."""
    from ometria_provider.web import CONNECTION
    from ometria_provider.web.credentials import Credentials
    from ometria_provider.web.lookup import airflow_connection

    subject = f"connection {CONNECTION}"
    try:
        connection = airflow_connection()
        if connection is None:
            return
        credentials = Credentials.read(connection)
    except SyncError as error:
        yield Check("fail", subject, str(error))
        return
    warnings = list(credentials.warnings)
    if credentials.account not in {workflow.connections.antavo for workflow in workflows}:
        warnings.append(f"events come as {credentials.account}'s, and no workflow file names that connection")
    if warnings:
        yield Check("warn", subject, f"{'; '.join(warnings)}.")
    else:
        yield Check("ok", subject, f"webhooks of {credentials.account} need {credentials.accepted}")


def alerts(ledger: Ledger | None, settings: Settings, *, is_scheduled: bool) -> Iterator[Check]:
    """Check whether people hear of what goes wrong.

    :param is_scheduled: some mapping runs by itself.
    """
    if settings.alerts_conn_id is None:
        if is_scheduled:
            words = "nobody is told when a sync is red or late; set `[ometria] alerts_conn_id` (docs/how-to/alerts.md)."
            yield Check("warn", "alerts", words)
        return
    from ometria_provider.hooks.alerts import AlertChannel

    try:
        services = AlertChannel(settings.alerts_conn_id).services()
    except SyncError as error:
        yield Check("fail", "alerts", str(error))
        return
    names = ", ".join(str(service.service_name) for service in services)
    faults = list(_not_told(ledger)) if ledger else []
    yield from faults or [Check("ok", "alerts", f"go to {names}; `ometria-sync alerts --test` sends one")]


def _not_told(ledger: Ledger) -> Iterator[Check]:
    from ometria_provider.ledger import cursors, incidents

    for incident in incidents.list_incidents(ledger, only_open=True, limit=None):
        if incident.told_at is None:
            why = incident.failure or "the next look of `watch_syncs` tells them"
            yield Check("fail", "alerts", f"nobody was told that {incident.dag_id} is {incident.kind}: {why}")
        elif incident.failure:
            yield Check("warn", "alerts", f"{incident.dag_id}, {incident.kind}: {incident.failure}")
    looked_at = cursors.get(ledger, "", "", cursors.WATCHED)
    if looked_at is None or looked_at < datetime.now(UTC) - WATCH_WITHIN:
        last = f"last looked at {moment(looked_at)}" if looked_at else "has never looked"
        words = f"`watch_syncs` {last}: is its DAG paused, or the scheduler down? Nobody hears of a sync that is late."
        yield Check("warn", "alerts", words)
