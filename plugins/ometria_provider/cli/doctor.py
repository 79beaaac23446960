"""Look at everything that a run needs, and say what to do about each fault."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ometria_provider.cli.check import Check
from ometria_provider.cli.doctor_runs import runs_of
from ometria_provider.cli.doctor_systems import alerts, connections, webhooks
from ometria_provider.cli.folder import mapping_names
from ometria_provider.cli.reading import open_for_reading
from ometria_provider.exceptions import SyncError
from ometria_provider.ledger.reading import NoLedger
from ometria_provider.settings import Settings, read_settings
from ometria_provider.text import moment

if TYPE_CHECKING:
    from ometria_provider.ledger.engine import Ledger
    from ometria_provider.mapping.model import Mapping
    from ometria_provider.mapping.source import Problem
    from ometria_provider.workflows.model import Workflow


#: Bytes free on a disk below which the next night may not fit.
LEAST_FREE = 2**30


def examine() -> list[Check]:
    """Look at everything."""
    settings = read_settings()
    mappings: list[Mapping] = []
    workflows: list[Workflow] = []
    checks = [*_mapping_files(settings, mappings), *_suites(settings, mappings)]
    checks += _workflow_files(settings, workflows)
    ledger, found = _ledger()
    checks += [found, _staging(settings), *_disks(settings)]
    checks += connections(ledger, mappings, workflows)
    checks += webhooks(workflows)
    checks += alerts(ledger, settings, is_scheduled=any(mapping.schedule for mapping in mappings))
    if ledger:
        checks += _versions(ledger)
        checks += runs_of(ledger, settings, mappings)
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


def _versions(ledger: Ledger) -> Iterator[Check]:
    """Compare the versions of this package that are at work; who works at all has said so in the ledger."""
    from ometria_provider import __version__
    from ometria_provider.ledger import installations

    found = installations.seen(ledger, datetime.now(UTC))
    others = installations.others(found, __version__)
    # Who worked before this version first did is upgraded since, or is not: the next run tells.
    is_new = all(one.version != __version__ for one in found)
    do = (
        f"Nothing has worked with {__version__} yet: ask again after the next run."
        if is_new
        else "Install one version everywhere, then restart what runs there (docs/how-to/upgrade.md)."
    )
    for one in others:
        age = "older" if installations.is_older(one.version, __version__) else "newer"
        does = f"{one.host} {'last worked' if is_new else 'works'} with {one.version}, {age} than {__version__} here"
        words = f"{does}; last at work {moment(one.seen_at)}. {do}"
        yield Check("warn" if is_new else "fail", f"version of {one.role}", words)
    if not others:
        places = ", ".join(sorted({f"{one.role} on {one.host}" for one in found if one.version == __version__}))
        yield Check("ok", "versions", f"{__version__} here; {f'the same: {places}' if places else 'no other at work'}")


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


def _disks(settings: Settings) -> Iterator[Check]:
    """Warn of a disk of this machine that is nearly full; buckets and database servers have disks of their own."""
    from sqlalchemy.engine import make_url

    ledger = make_url(settings.ledger_url)
    places = {
        "staging": settings.staging_path.removeprefix("file://"),
        "ledger": (ledger.database or "") if ledger.get_backend_name() == "sqlite" else "",
    }
    for what, place in places.items():
        if not place or "://" in place:
            continue
        there = next(path for path in (Path(place), *Path(place).absolute().parents) if path.exists())
        if (free := shutil.disk_usage(there).free) < LEAST_FREE:
            words = (
                f"{free / 1e6:,.0f} MB are free at {there}: tasks that fill it fail and try again. Free some space; "
                "`ometria-sync ledger prune` and `[ometria] staging_keep` say what is kept."
            )
            yield Check("warn", f"disk of {what}", words)
