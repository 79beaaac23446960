"""Workflow files: reading them, and saying everything that is wrong with them (files.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from ometria_provider.exceptions import Misconfigured
from ometria_provider.mapping import forms
from ometria_provider.mapping.catalogue import closest
from ometria_provider.mapping.files import MappingFileError, load_mapping
from ometria_provider.mapping.forms import BrokenFile, FileForm
from ometria_provider.mapping.model import Connections
from ometria_provider.mapping.source import Problem, Source, read_source
from ometria_provider.workflows.checks import find_issues
from ometria_provider.workflows.model import Action, Identity, Trigger, Workflow

__all__ = ["Problem", "WorkflowFileError", "check_folder", "load_folder", "load_workflow", "schema_text"]


class WorkflowFileError(BrokenFile):
    """A workflow file is wrong; the text shows every problem."""


_FORM = FileForm(
    kind="workflow",
    make=Workflow.from_data,
    find_issues=find_issues,
    keys={
        (): tuple(key for key in Workflow.model_fields if key != "name"),
        ("connections",): tuple(Connections.model_fields),
        ("trigger",): tuple(Trigger.model_fields),
        ("identity",): tuple(Identity.model_fields),
        ("action",): tuple(Action.model_fields),
    },
    rows=("action", "payload"),
    least="`trigger:` and `action:`",
    examples={
        ("trigger",): "write Antavo's action id, such as `trigger: {event: reward}`",
        ("trigger", "event"): "write Antavo's action id, such as `event: reward`",
        ("action",): "write `event_type:` and `payload:` below it",
        ("action", "event_type"): "write the event type as Ometria set it up",
        ("action", "payload"): "write rows such as {loyalty: reward.name, remote: reward_name}",
    },
    shapes={"language": "write a language's code, such as `en` or `pt-BR`"},
)


def load_workflow(path: Path) -> Workflow:
    """Read one workflow file.

    :raises WorkflowFileError: with all that is wrong in it; warnings alone do not count.
    """
    workflow, problems = _FORM.interpret(read_source(path), path.stem)
    if workflow is None or not all(problem.warning for problem in problems):
        raise WorkflowFileError(problems)
    return workflow


def load_folder(folder: Path, mappings: Path | None = None) -> tuple[list[Workflow], list[Problem]]:
    """Read all workflow files of a folder: those that can run, by name, and the errors of the others.

    A broken file takes no other with it.

    :param mappings: the mappings folder, to see that each ``contact_mapping`` is there; None: nobody looks.
    :raises Misconfigured: when there is no such folder.
    """
    workflows, problems = check_folder(folder, mappings)
    return workflows, [problem for problem in problems if not problem.warning]


def check_folder(folder: Path, mappings: Path | None = None) -> tuple[list[Workflow], list[Problem]]:
    """Read all workflow files of a folder as :func:`load_folder` does; warnings are among the problems.

    :raises Misconfigured: when there is no such folder.
    """
    if not folder.is_dir():
        raise Misconfigured(f"The workflows folder {folder} does not exist: make it, or set [ometria] workflows_folder")
    read, problems = _FORM.read_folder(folder)
    strange = list(_contact_mappings(read, mappings)) if mappings else []
    refused = {problem.file for problem in strange if not problem.warning}
    return [workflow for workflow, source in read if source.file not in refused], problems + strange


def longest_expiry(folder: Path) -> timedelta | None:
    """Return the longest `expires_after` of a folder's workflows; None when a file cannot be read, so nobody knows it.

    :raises Misconfigured: when there is no such folder.
    """
    workflows, problems = load_folder(folder)
    return None if problems else max((workflow.expires_after for workflow in workflows), default=timedelta(0))


def _contact_mappings(read: list[tuple[Workflow, Source]], folder: Path) -> Iterator[Problem]:
    """Find contact mappings that could push no contact for their workflow."""
    loc = ("contact_mapping",)
    for workflow, source in read:
        name = workflow.contact_mapping
        if name is None:
            continue
        names = [path.stem for path in folder.glob("*.yaml")]
        if name not in names:
            hint = closest(name, names) or f"there are {', '.join(sorted(names)) or 'none'}; null: nobody pushes it"
            yield source.problem(loc, f"there is no mapping `{name}` in {folder}", hint)
            continue
        try:
            mapping = load_mapping(folder / f"{name}.yaml")
        except MappingFileError:
            message = f"the mapping `{name}` has errors: events wait until it is mended"
            yield replace(source.problem(loc, message, "see `ometria-sync mappings check`"), warning=True)
            continue
        if mapping.connections != workflow.connections:
            hint = "use the same `connections` in both files"
            yield source.problem(loc, f"the mapping `{name}` uses other connections than this workflow", hint)


def schema_text() -> str:
    """Return ``include/workflows/workflow.schema.json``: what editors complete and check workflow files with."""
    return forms.schema_text(
        Workflow, ["trigger", "action"], "Workflow file", "One workflow: an Antavo event starts an Ometria campaign."
    )
