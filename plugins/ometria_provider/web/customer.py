"""One customer: every delivery, rejection and event, and, on a button, how things are now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from fastapi import APIRouter, Form, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ometria_provider.dagdefaults import campaign_events_id, contact_sync_id
from ometria_provider.ledger import history
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.events import Delivery, deliveries_about
from ometria_provider.ledger.history import RunRow
from ometria_provider.ledger.trace import LATEST, trace
from ometria_provider.mapping.files import check_folder
from ometria_provider.mapping.model import Mapping
from ometria_provider.operators.explaining import Explained, Explainer
from ometria_provider.operators.finding import contacts_by_email
from ometria_provider.origin import origin_of
from ometria_provider.settings import read_settings
from ometria_provider.web import audit
from ometria_provider.web.access import NotAllowed, SameOrigin, SignedIn, may_edit, may_read
from ometria_provider.web.reading import OpenLedger
from ometria_provider.web.render import render

router = APIRouter()

#: A page does not wait as long as a task does for a system that is out of reach.
IMPATIENT: dict[str, Any] = {"attempts": 2, "first_wait": 0.5}

Text = Annotated[str, Form(max_length=250)]
Every = Annotated[bool, Query(alias="all")]


@router.get("/customers", response_class=HTMLResponse)
def ask(request: Request, user: SignedIn) -> HTMLResponse:
    """Ask whom somebody looks for."""
    return render(request, "customers.html", user=user, found=None)


@router.post("/customers", dependencies=[SameOrigin])
def find(request: Request, user: SignedIn, ledger: OpenLedger, who: Text = "") -> Response:
    """Go to a customer by id, or by the e-mail address that Ometria knows.

    What holds an `@` is an address, so that none gets into a URL, and so into a log or a browser's history: an id holds
    no personal data (contract/ometria.md, "Contact").
    """
    who = who.strip()
    found = [who] if who else []
    if "@" in who:
        mine = [mapping for mapping in _mappings() if may_edit(user, contact_sync_id(mapping.name))]
        if not mine:
            raise NotAllowed("To look people up by their address takes the right to edit a mapping's DAG.")
        audit.note(user, audit.SEARCHED)
        found = contacts_by_email(ledger, who, mine, **IMPATIENT)
    if len(found) == 1:
        root = request.scope.get("root_path", "")
        return RedirectResponse(f"{root}/customers/{quote(found[0], safe='')}", 303)
    return render(request, "customers.html", user=user, found=found)


@router.get("/customers/{contact:path}", response_class=HTMLResponse)
def show(contact: str, request: Request, user: SignedIn, ledger: OpenLedger, every: Every = False) -> HTMLResponse:
    """Show what the ledger knows of a customer.

    :param every: all rejections and events, not the latest alone.
    """
    audit.note(user, audit.VIEWED, [contact])
    return _page(request, user, ledger, contact, None, every=every)


@router.post("/customers/{contact:path}", response_class=HTMLResponse, dependencies=[SameOrigin])
def explain(contact: str, request: Request, user: SignedIn, ledger: OpenLedger) -> HTMLResponse:
    """Ask Antavo and Ometria besides: members' values are for those who may edit the mapping's DAG."""
    editing = {each.name for each in _mappings() if may_edit(user, contact_sync_id(each.name))}
    readable = [each for each in _mappings() if may_read(user, contact_sync_id(each.name))]
    if not readable:
        raise NotAllowed("You may not look at any mapping's DAG: who runs your Airflow can allow you to read one.")
    audit.note(user, audit.EXPLAINED, [contact], values=bool(editing))
    found = Explainer(ledger, contact, read_settings().expectations_folder, IMPATIENT).explain(readable)
    shown = [one if one.mapping in editing else one.without_values() for one in found]
    return _page(request, user, ledger, contact, shown, frozenset(editing))


def _page(
    request: Request,
    user: BaseUser,
    ledger: Ledger,
    contact: str,
    now: list[Explained] | None,
    editing: frozenset[str] = frozenset(),
    *,
    every: bool = False,
) -> HTMLResponse:
    known, events = trace(ledger, contact), _readable_events(user, deliveries_about(ledger, contact))
    named = {row.run for row in known.rejections}
    named |= {run for one in known.standings for run in (one.run, one.missed_by) if run}
    there = history.run_rows(ledger, named)
    seen = _readable_runs(user, there.values())
    rejections = [row for row in known.rejections if row.run in seen]
    shown = None if every else LATEST
    return render(
        request,
        "customer.html",
        user=user,
        contact=contact,
        standings=[one for one in known.standings if may_read(user, contact_sync_id(one.mapping))],
        runs=there.keys(),
        rejections=rejections[:shown],
        more_rejections=len(rejections[LATEST:]) if shown else 0,
        events=events[:shown],
        more_events=len(events[LATEST:]) if shown else 0,
        now=now,
        editing=editing,
        link=quote(contact, safe=""),
    )


def _readable_runs(user: BaseUser, rows: Iterable[RunRow]) -> frozenset[int]:
    dags = {row.id: origin_of(row).dag_id for row in rows}
    allowed = {dag_id for dag_id in set(dags.values()) if may_read(user, dag_id)}
    return frozenset(number for number, dag_id in dags.items() if dag_id in allowed)


def _readable_events(user: BaseUser, rows: Iterable[Delivery]) -> list[Delivery]:
    rows = list(rows)
    allowed = {account: may_read(user, campaign_events_id(account)) for account in {row.account for row in rows}}
    return [row for row in rows if allowed[row.account]]


def _mappings() -> list[Mapping]:
    return check_folder(read_settings().mappings_folder)[0]
