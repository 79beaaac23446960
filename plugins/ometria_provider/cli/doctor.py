"""Look at everything that a run needs, and say what to do about each fault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ometria_provider.cli.connect import antavo, ometria
from ometria_provider.cli.folder import mapping_names
from ometria_provider.cli.reading import open_for_reading
from ometria_provider.delivery.plan import list_problem
from ometria_provider.exceptions import SyncError
from ometria_provider.ledger.reading import NoLedger
from ometria_provider.settings import Settings, read_settings

if TYPE_CHECKING:
    from ometria_provider.hooks.antavo import AntavoHook
    from ometria_provider.hooks.ometria import OmetriaHook
    from ometria_provider.ledger.engine import Ledger
    from ometria_provider.mapping.model import Mapping
    from ometria_provider.mapping.source import Problem
    from ometria_provider.workflows.model import Workflow


@dataclass(frozen=True)
class Check:
    """One finding.

    :param words: what is so, and what to do when it is wrong.
    """

    state: Literal["ok", "warn", "fail"]
    subject: str
    words: str


def examine() -> list[Check]:
    """Look at everything."""
    settings = read_settings()
    mappings: list[Mapping] = []
    workflows: list[Workflow] = []
    checks = [*_mapping_files(settings, mappings), *_suites(settings, mappings)]
    checks += _workflow_files(settings, workflows)
    ledger, found = _ledger()
    checks += [found, _staging(settings)]
    checks += _connections(mappings, workflows)
    if ledger:
        checks += _orphans(ledger, settings, mappings)
    return checks


def _mapping_files(settings: Settings, mappings: list[Mapping]) -> Iterator[Check]:
    """Check the mapping files, and add the good ones to `mappings`."""
    from ometria_provider.mapping.files import check_folder

    folder = settings.mappings_folder
    if not folder.is_dir():
        yield Check("fail", "mapping files", f"{folder} is no folder; see `[ometria] mappings_folder`.")
        return
    good, problems = check_folder(folder)
    mappings += good
    yield _files("mapping", folder, [mapping.name for mapping in good], problems) or Check(
        "warn", "mapping files", f"there is none in {folder}."
    )


def _workflow_files(settings: Settings, workflows: list[Workflow]) -> Iterator[Check]:
    """Check the workflow files, and add the good ones to `workflows`; who starts no campaigns has none."""
    from ometria_provider.workflows.files import load_folder

    folder = settings.workflows_folder
    if folder.is_dir():
        good, problems = load_folder(folder, settings.mappings_folder)
        workflows += good
        if check := _files("workflow", folder, [workflow.name for workflow in good], problems):
            yield check


def _files(kind: str, folder: Path, names: list[str], problems: Sequence[Problem]) -> Check | None:
    """Say how a folder's files are; None when there are none."""
    if problems:
        broken = ", ".join(sorted({Path(problem.file).name for problem in problems}))
        words = f"{len(problems)} errors in {broken}: `ometria-sync {kind}s check` shows them."
        return Check("fail", f"{kind} files", words)
    return Check("ok", f"{kind} files", f"{', '.join(names)} in {folder}") if names else None


def _suites(settings: Settings, mappings: Sequence[Mapping]) -> Iterator[Check]:
    from ometria_provider.validation.suites import load_suites, stray_suites

    folder, faults = settings.expectations_folder, {}
    for mapping in mappings:
        try:
            load_suites(folder, mapping.name, mapping.remotes)
        except SyncError as error:
            faults[str(error)] = mapping.name
    for text in faults:
        yield Check("fail", "expectation suites", text)
    if mappings and not faults:
        yield Check("ok", "expectation suites", str(folder))
    if folder.is_dir() and (strays := stray_suites(folder, mapping_names(settings.mappings_folder))):
        names = ", ".join(file.name for file in strays)
        yield Check("warn", "expectation suites", f"no mapping reads {names}: name each like its mapping file.")


def _ledger() -> tuple[Ledger | None, Check]:
    try:
        ledger = open_for_reading()
    except NoLedger as error:
        return None, Check("warn", "ledger", str(error))
    except SyncError as error:
        return None, Check("fail", "ledger", str(error))
    return ledger, Check("ok", "ledger", f"{ledger} is at version {ledger.version()}")


def _staging(settings: Settings) -> Check:
    """Write a small file where runs write theirs, and take it away again."""
    from airflow.sdk import ObjectStoragePath

    try:
        folder = ObjectStoragePath(settings.staging_path)
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".doctor"
        probe.write_bytes(b"x")
        probe.unlink()
    except Exception as error:  # noqa: BLE001 (any storage's client may raise anything)
        words = f"{settings.staging_path} cannot be written: {error}. See `[ometria] staging_path`."
        return Check("fail", "staging", words)
    return Check("ok", "staging", f"{settings.staging_path} can be written")


def _connections(mappings: Sequence[Mapping], workflows: Sequence[Workflow]) -> Iterator[Check]:
    """Check every connection that a file names (the default ones when there is no file), and each list."""
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
            yield _clock(conn_id, hook.skew)
        hooks += [hook] if hook else []
        if check.state == "ok":
            answering[conn_id] = hook
    yield from _same_keys(hooks)
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


def _clock(conn_id: str, skew: float) -> Check:
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


def _orphans(ledger: Ledger, settings: Settings, mappings: Sequence[Mapping]) -> Iterator[Check]:
    """Warn about contacts that no mapping file looks after any more; files that are broken still count."""
    from ometria_provider.ledger.history import accounts_in_use, has_contacts

    owned = {(mapping.connections.ometria, mapping.collection) for mapping in mappings}
    names = set(mapping_names(settings.mappings_folder)) - {mapping.name for mapping in mappings}
    for (account, collection), name in accounts_in_use(ledger, mapped=True).items():
        if (account, collection) in owned or name in names:
            continue
        if has_contacts(ledger, account, collection):
            words = (
                f"no mapping file owns it any more (it was {name}): its contacts stay in Ometria and on their list as "
                "they are. Bring the file back to go on with them, or remove them in Ometria."
            )
            yield Check("warn", f"collection {collection} on {account}", words)
