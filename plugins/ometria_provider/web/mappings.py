"""Mappings: all files with what is wrong in them, and the editor of one."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ometria_provider.dagdefaults import contact_sync_id
from ometria_provider.mapping import files
from ometria_provider.mapping.discovery import offered
from ometria_provider.mapping.drafts import show_file
from ometria_provider.mapping.fields import REMOTE_FIELDS
from ometria_provider.mapping.model import Connections
from ometria_provider.mapping.saving import save_text
from ometria_provider.mapping.source import parse_source
from ometria_provider.operators.previewing import Previewed, ask_details, preview_members
from ometria_provider.settings import read_settings
from ometria_provider.text import json_text
from ometria_provider.web import audit, drafting
from ometria_provider.web.access import NotAllowed, SameOrigin, SignedIn, may_edit, may_read, require_edit, require_read
from ometria_provider.web.drafting import DraftBody, LoadedDraftBody
from ometria_provider.web.reading import OpenLedger
from ometria_provider.web.render import render
from ometria_provider.web.sampling import SHOWN, Sample, Samples

router = APIRouter()

#: Members that are looked at for the fields that they fill.
LOOKED_AT = 1000

#: Transforms that the editor offers, with options where they take some.
TRANSFORMS = (
    *("strip", "lower", "upper", "title", "date", "datetime", "e164", "country", "gender", "bool", "integer"),
    *(
        "number",
        "string",
        "consent",
        "first",
        "{e164: GB}",
        '{join: "|"}',
        "{map: {a: b}, default: null}",
        "{round: 1}",
    ),
)

#: Keys that stand on top of the editor; the others are behind a fold.
FIRST = ("description", "schedule", "timezone")


@router.get("/mappings", response_class=HTMLResponse)
def list_mappings(
    request: Request,
    user: SignedIn,
    new: Annotated[str | None, Query(max_length=200)] = None,
    list: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    """Show all mapping files with their problems; with a name and a list, go to the editor of a new one."""
    root = request.scope.get("root_path", "").rstrip("/")
    if new is not None:
        drafting.mapping_path(new)
        return RedirectResponse(f"{root}/mappings/{new}?list={list or 1}", 303)
    folder = read_settings().mappings_folder
    mappings, problems = files.check_folder(folder)
    good = {mapping.name: mapping for mapping in mappings}
    names = sorted(path.stem for path in folder.glob("*.yaml") if not path.name.startswith("."))
    shown = [name for name in names if may_read(user, contact_sync_id(name))]
    rows = [
        (name, good.get(name), [one for one in problems if one.file == str(folder / f"{name}.yaml")]) for name in shown
    ]
    return render(request, "mappings.html", user=user, rows=rows, folder=folder)


@router.get("/mappings/{name}", response_class=HTMLResponse)
def edit_mapping(
    request: Request, name: str, user: SignedIn, list: Annotated[int | None, Query(ge=1)] = None
) -> HTMLResponse:
    """Show the editor of a mapping file."""
    dag_id = contact_sync_id(name)
    require_read(user, dag_id)
    opened = drafting.open_file(name, list)
    texts, rows = show_file(opened.text)
    checked = drafting.check(name, DraftBody(digest=opened.digest, start=list or 1))[1]
    inputs = drafting.key_inputs(texts, "customers" if opened.digest is None else name)
    return render(
        request,
        "mapping.html",
        user=user,
        name=name,
        opened=opened,
        new_list=list or 1,
        editable=checked.text is not None and bool(texts),
        inputs=inputs,
        first=FIRST,
        rows=rows,
        loyalty=offered(),
        remote=REMOTE_FIELDS,
        transforms=TRANSFORMS,
        problems=checked.findings,
        may_edit=may_edit(user, dag_id),
        saves=read_settings().mappings_editable,
        dag_id=dag_id,
    )


@router.post("/mappings/{name}/check", dependencies=[SameOrigin])
def check(name: str, user: SignedIn, body: DraftBody) -> dict[str, Any]:
    """Say what is wrong with a draft, and what it changes in the file."""
    require_read(user, contact_sync_id(name))
    return drafting.answer(drafting.check(name, body)[1])


@router.post("/mappings/{name}/text", dependencies=[SameOrigin])
def text(name: str, user: SignedIn, body: LoadedDraftBody) -> dict[str, str]:
    """Give a draft's text over the file as it was loaded, whatever became of that: nobody loses what they wrote."""
    require_read(user, contact_sync_id(name))
    return {"text": drafting.text_of(name, body)}


@router.post("/mappings/{name}/save", dependencies=[SameOrigin])
def save(name: str, user: SignedIn, body: DraftBody) -> dict[str, Any]:
    """Write the file, where this Airflow lets a page do that."""
    require_edit(user, contact_sync_id(name))
    if not read_settings().mappings_editable:
        raise NotAllowed(
            "This Airflow lets no page write mapping files ([ometria] mappings_editable): download the file."
        )
    opened, checked = drafting.check(name, body)
    if checked.text is None or checked.mapping is None:
        raise HTTPException(422, "There are errors in it, so nothing was saved: mend them first.")
    digest = save_text(opened.path, checked.text, over=opened.digest)
    return {"digest": digest, **drafting.answer(checked)}


@router.post("/mappings/{name}/lists", dependencies=[SameOrigin])
def lists(name: str, user: SignedIn, ledger: OpenLedger) -> dict[str, Any]:
    """Ask Ometria for its lists: one request."""
    from ometria_provider.operators.accounts import ometria_hook

    require_edit(user, contact_sync_id(name))
    found = ometria_hook(ledger, _connections(name).ometria, attempts=1).lists()
    return {"lists": [asdict(one) for one in sorted(found, key=lambda one: one.title.casefold())]}


@router.post("/mappings/{name}/fields", dependencies=[SameOrigin])
def fields(name: str, user: SignedIn, ledger: OpenLedger) -> dict[str, Any]:
    """Look at Antavo's newest members for the fields that they fill: one request. No value of theirs is told."""
    from ometria_provider.operators.accounts import antavo_hook

    require_edit(user, contact_sync_id(name))
    customers = antavo_hook(ledger, _connections(name).antavo, attempts=1).sample(LOOKED_AT)
    return {"members": len(customers), "fields": [asdict(one) for one in offered(customers)]}


@router.post("/mappings/{name}/preview", dependencies=[SameOrigin])
def preview(name: str, request: Request, user: SignedIn, ledger: OpenLedger, body: DraftBody) -> dict[str, Any]:
    """Show what a draft makes of Antavo's newest members, whose values are for those only who may edit the DAG.

    The connection asked is that of the saved file: a draft opens no other account. The same members are shown again
    with each change, for a few minutes, so that a preview that follows somebody who types asks Antavo once.
    """
    dag_id = contact_sync_id(name)
    require_edit(user, dag_id)
    mapping = drafting.check(name, body)[1].mapping
    if mapping is None:
        raise HTTPException(422, "There are errors in it: a preview shows what a mapping without any does.")
    account = _connections(name).antavo

    def read() -> Sample:
        from ometria_provider.operators.accounts import antavo_hook

        hook = antavo_hook(ledger, account, attempts=1)
        customers = hook.sample(SHOWN)
        ids = [str(customer.get("_id")) for customer in customers]
        audit.note(user, audit.PREVIEWED, ids, values=True, dag_id=dag_id, mapping=name)
        return Sample(hook, customers)

    samples: Samples = request.app.state.samples
    sample = samples.get(user.get_name(), account, read)
    customers = ask_details(mapping, sample, sample.customers)
    members = preview_members(mapping, customers, today=datetime.now(UTC).date(), ledger=ledger)
    return {"members": list(map(_shown, members))}


def _shown(member: Previewed) -> dict[str, Any]:
    """Return a member as texts: a browser would round a number of 19 digits."""
    fields = [
        {
            "loyalty": one.loyalty or "(constant)",
            "way": ", ".join([json_text(one.value), *(f"{name} → {json_text(value)}" for name, value in one.steps)]),
            "remote": one.remote,
            "sent": f"rejected: {one.problem}" if one.problem else "" if one.final is None else json_text(one.final),
        }
        for one in member.fields
    ]
    reasons = [*member.reasons, *filter(None, [member.held])]
    return {"customer": member.customer, "outcome": member.outcome, "reasons": reasons, "fields": fields}


def _connections(name: str) -> Connections:
    """Return the connections that a mapping's saved file names, as far as it can be read."""
    path = drafting.mapping_path(name)
    data = parse_source(path.read_text("utf-8", "replace"), "").data if path.is_file() else None
    named = data.get("connections") if isinstance(data, dict) else None
    texts = named.items() if isinstance(named, dict) else ()
    known = {key: name for key, name in texts if key in Connections.model_fields and isinstance(name, str) and name}
    return Connections(**known)
