"""The control plane under ``/_sandbox``: what tests and people see and steer from outside. JSON in, JSON out, no key.

``GET /_sandbox/stats``
    ``requests``: {"ometria POST /v2/push": {"200": 12, "429": 1}}; ``limits``: for each rate limit what was admitted,
    refused (429) and the fullest window; ``pushed``: records received, accepted, late errors, deletions;
    ``contacts``: for each collection contacts stored, records received, ``repeats`` (the contact's record came
    again with the same bytes) and ``most_for_one``; ``events``: custom events stored, received, and
    ``most_for_one``; ``emails``: of the campaign, by outcome.
    ``?contact=COLLECTION/ID`` answers {"received", "repeats"} of that one.
``GET /_sandbox/contacts``
    For each collection the counts, and ``lists`` {id: size}. ``/_sandbox/contacts/COLLECTION/ID`` adds to one contact
    how often it came. ``/_sandbox/lists/ID`` names its members.
``POST /_sandbox/contacts``
    {"forget": ["COLLECTION/ID", …]}: contacts get lost without a word.
``GET /_sandbox/members?limit=20&offset=0``
    How many there are, and ids by ``created_at``.
``POST /_sandbox/members``
    Any of ``change``, ``remove``: a number of random members or a list of ids; ``add``: a number, or a list of objects
    of fields; ``set``: the fields that ``change`` sets, dotted paths into the Read API's shape (default: ten points
    more); ``seed``: of the draw. Answers the ids. Each leaves an Antavo event (``profile``, ``opt_out``, ``opt_in``),
    unless ``silently`` is true.
``POST /_sandbox/events``
    {"action", "customer_id", …}: an Antavo event; ``points``, ``timestamp``, ``properties`` and so on override.
    ``timestamp`` may lie in the past or the future, be unreadable, or null: the event has none then. ``row`` stands in
    lists in place of the event: anything, such as a text.
``GET /_sandbox/rewards``
    The rewards that are there, with texts as language maps.
``POST /_sandbox/rewards``
    {"delete": [ID, …], "change": {ID: {"name": …}}}: rewards leave the programme, or get other texts. Answers the ids.
``POST /_sandbox/claims``
    {"count": 20, "seed": 7, "customer": ID, "reward": ID, "within": 3600, "every": 0.5}, all optional: members claim
    rewards; ``customers`` and ``rewards`` name several, by turns, nothing draws them. Their times are spread over the
    last ``within`` seconds; with ``every`` they come one after the other from now on. ``action`` and ``named_in`` are
    the event's action and the property that names the reward, both ``reward``. Answers {"ids": of the events}.
``GET``, ``DELETE /_sandbox/claims``
    {"claims": how many there are (``?action=`` counts another action), "to_come": how many of those one after the
    other}. DELETE lets nobody claim any more.
``POST /_sandbox/webhooks``
    A *Webhook message* node: {"url", "actions": ["reward"], "login", "password", "jwt_algorithm", "jwt_key", …} posts
    every event from now on; see ``webhooks.Node`` for its keys. A second one takes the place of the first.
``GET``, ``DELETE /_sandbox/webhooks``
    {"answers": {"200": 12, "timeout": 1, "error": 3}, "waiting": 0, "dropped": [ids]}. DELETE ends it.
``GET /_sandbox/custom_events?limit=20&offset=0``
    Custom events that Ometria stored, by id. ``/_sandbox/custom_events/ID`` answers {"event", "received"} of one.
``GET /_sandbox/emails?limit=20&offset=0``
    What the campaign did, by outcome (``sent``; ``unknown_contact``: nothing started; ``no_address``;
    ``not_rendered``), and ``emails``, the newest first: {"event_id", "to", "subject", "text", "sent_at"}.
``POST /_sandbox/unsubscribes``
    {"email", "type": "email", "timestamp", "reason"}: somebody unsubscribes in Ometria.
``GET``, ``POST``, ``DELETE /_sandbox/faults``
    See ``faults.Fault`` for its keys: {"kind": "500", "api": "ometria", "path": "/v2/push", "probability": 0.1,
    "times": 3, "skip": 0}, or a list of such. POST adds, DELETE takes all away. Kinds: ``429`` and ``500`` (with
    ``retry_after`` or without), ``refused`` (``status``, whatever the request says), ``502_html``, ``reset_before`` and
    ``timeout_before`` (nothing was stored),
    ``reset_after`` and ``timeout_after`` (all was), ``truncated`` and ``slow`` answers, ``html`` (200, but no JSON),
    ``broken_text`` (the answer's first ``field`` begins with half a surrogate pair),
    ``poison`` (``status`` for a push that holds one of ``contacts``), ``rejected`` (an answer that counts ``contacts``
    as rejected), ``late_error`` (``contacts`` fail on ``field`` later).
``POST /_sandbox/settings``
    Change ``latency_ms``, ``validation_delay_ms``, ``most_events``, ``campaign_event_type`` or a rate limit from now
    on.
``POST /_sandbox/validate``
    Validate every push that still waits for it, now.
``POST /_sandbox/reset``
    {"what": ["stats", "contacts", "members", "faults"]}; without it all four. ``stats`` sets all counts to zero, those
    of records received too, and empties the rate windows; contacts stay and a repeat is still known as one. Custom
    events and e-mails go with ``contacts``; Antavo's events, claims to come, changes of rewards and the webhook node
    with ``members``.

Every call commits the state first, so what it shows outlives a kill -9.
"""

from __future__ import annotations

import dataclasses
import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ometria_provider.sandbox import claims
from ometria_provider.sandbox.faults import make_fault
from ometria_provider.sandbox.webhooks import Node
from ometria_provider.sandbox.wire import Answer, Call, answer

if TYPE_CHECKING:
    from ometria_provider.sandbox.server import Sandbox

_LIVE = (
    "latency_ms",
    "validation_delay_ms",
    "most_events",
    "campaign_event_type",
    "antavo_requests_per_minute",
    "ometria_push_per_second",
    "ometria_data_per_second",
)
_PARTS = ("stats", "contacts", "members", "faults")


def control(sandbox: Sandbox, call: Call) -> Answer:
    """Answer a request to the control plane; 400 with ``{"error"}`` when it makes no sense."""
    try:
        content = msgspec.json.decode(call.body) if call.body else {}
        found = _look(sandbox, call) if call.method == "GET" else _steer(sandbox, call, content)
    except (ValueError, KeyError, TypeError) as error:
        return answer({"error": f"{type(error).__name__}: {error}"}, 400)
    return (
        answer({"error": "no such control; see the docstring of sandbox/control.py"}, 404)
        if found is None
        else answer(found)
    )


def _look(sandbox: Sandbox, call: Call) -> Any:  # noqa: PLR0911 (a return for each path)
    contacts = sandbox.ometria.contacts
    match call.segments[1:]:
        case ["stats"] if "contact" in call.query:
            return contacts.deliveries(*call.query["contact"].split("/", 1))
        case ["stats"]:
            return sandbox.stats()
        case ["contacts"]:
            sizes = {str(n): contacts.list_size(n) for n in contacts.list_ids()}
            return {"collections": contacts.totals(), "lists": sizes}
        case ["contacts", collection, contact_id]:
            stored = contacts.get(collection, contact_id)
            return {"contact": stored} | contacts.deliveries(collection, contact_id)
        case ["lists", list_id]:
            return contacts.list_members(int(list_id))
        case ["members"]:
            order = sandbox.directory.order()
            page = sandbox.directory.page(order, call.number("offset", 0), call.number("limit", 20))
            return {"members": len(order), "ids": [customer["_id"] for customer in page]}
        case ["faults"]:
            return [dataclasses.asdict(fault) for fault in sandbox.faults.active]
    return _look_campaigns(sandbox, call)


def _look_campaigns(sandbox: Sandbox, call: Call) -> Any:  # noqa: PLR0911 (a return for each path)
    ometria = sandbox.ometria
    match call.segments[1:]:
        case ["rewards"]:
            return [sandbox.rewards.get(reward_id) for reward_id in sandbox.rewards.ids()]
        case ["claims"]:
            action = call.query.get("action", claims.ACTION)
            return {"claims": sandbox.events.count(action), "to_come": sandbox.claims.to_come}
        case ["webhooks"]:
            return sandbox.webhooks.counts()
        case ["custom_events"]:
            return ometria.events.page(call.number("limit", 20), call.number("offset", 0))
        case ["custom_events", event_id]:
            return ometria.events.get(event_id)
        case ["emails"]:
            emails = ometria.campaign.emails(call.number("limit", 20), call.number("offset", 0))
            return ometria.campaign.counts() | {"emails": emails}
    return None


def _steer(sandbox: Sandbox, call: Call, content: Any) -> Any:  # noqa: PLR0911 (a return for each path)
    match call.method, call.segments[1:]:
        case "POST", ["members"]:
            return _change_members(sandbox, content)
        case _, ["events" | "rewards" | "claims" | "webhooks"]:
            return _steer_campaigns(sandbox, call, content)
        case "POST", ["contacts"]:
            for name in content["forget"]:
                sandbox.ometria.contacts.forget(*name.split("/", 1))
            return content
        case "POST", ["unsubscribes"]:
            now = datetime.datetime.now(datetime.UTC).isoformat()
            values = {"type": "email", "timestamp": now, "reason": "user"} | content
            sandbox.ometria.contacts.unsubscribe(*(str(values[k]) for k in ("email", "type", "timestamp", "reason")))
            return values
        case "POST", ["faults"]:
            sandbox.faults.active += map(make_fault, content if isinstance(content, list) else [content])
            return _look(sandbox, dataclasses.replace(call, method="GET"))
        case "DELETE", ["faults"]:
            sandbox.faults.active.clear()
            return []
        case "POST", ["settings"]:
            if unknown := content.keys() - set(_LIVE):
                raise ValueError(f"cannot be changed: {', '.join(sorted(unknown))}; can: {', '.join(_LIVE)}")
            kinds = {name: type(getattr(sandbox.settings, name)) for name in content}
            sandbox.change_settings({name: kinds[name](value) for name, value in content.items()})
            return {name: getattr(sandbox.settings, name) for name in _LIVE}
        case "POST", ["validate"]:
            sandbox.ometria.validate_all()
            return sandbox.stats()["pushed"]
        case "POST", ["reset"]:
            parts = content.get("what", _PARTS)
            if unknown := set(parts) - set(_PARTS):
                raise ValueError(f"what: {', '.join(sorted(unknown))} is none of {', '.join(_PARTS)}")
            sandbox.reset(set(parts))
            return {"reset": sorted(parts)}
    return None


def _steer_campaigns(sandbox: Sandbox, call: Call, content: Any) -> Any:  # noqa: PLR0911 (a return for each path)
    match call.method, call.segments[1:]:
        case "POST", ["events"]:
            event = dict(content)
            return {"id": sandbox.events.record(event.pop("action"), event.pop("customer_id"), event)}
        case "POST", ["rewards"]:
            return _change_rewards(sandbox, content)
        case "POST", ["claims"]:
            return {"ids": sandbox.claims.make(claims.Claim.make(content))}
        case "POST", ["webhooks"]:
            sandbox.webhooks.use(Node.make(content))
            return sandbox.webhooks.counts()
        case "DELETE", ["webhooks"]:
            sandbox.webhooks.stop()
            return {}
        case "DELETE", ["claims"]:
            sandbox.claims.stop()
            return _look(sandbox, dataclasses.replace(call, method="GET"))
    return None


def _change_members(sandbox: Sandbox, content: dict[str, Any]) -> dict[str, list[str]]:
    """Carry out ``POST /_sandbox/members``; ids that nobody has are left out of the answer."""
    if unknown := content.keys() - {"change", "remove", "add", "set", "seed", "silently"}:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    directory, seed = sandbox.directory, content.get("seed")
    done: dict[str, list[str]] = {"changed": [], "removed": [], "added": []}

    def record(action: str, customer_id: str) -> None:
        if not content.get("silently"):
            sandbox.events.record(action, customer_id)

    def chosen(what: str) -> list[str]:
        wanted: int | list[str] = content.get(what, [])
        return directory.some(wanted, None if seed is None else f"{seed} {what}") if isinstance(wanted, int) else wanted

    for customer_id in chosen("change"):
        fields = content.get("set") or _ten_points_more(directory.get(customer_id))
        if directory.change(customer_id, fields):
            done["changed"].append(customer_id)
            record("profile", customer_id)
    for customer_id in chosen("remove"):
        if directory.remove(customer_id):
            done["removed"].append(customer_id)
            record("opt_out", customer_id)
    joiners = content.get("add", [])
    for fields in [None] * joiners if isinstance(joiners, int) else joiners:
        done["added"].append(directory.add(fields))
        record("opt_in", done["added"][-1])
    return done


def _change_rewards(sandbox: Sandbox, content: dict[str, Any]) -> dict[str, list[str]]:
    """Carry out ``POST /_sandbox/rewards``; ids that no reward has are left out of the answer."""
    if unknown := content.keys() - {"delete", "change"}:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    rewards = sandbox.rewards
    return {
        "deleted": [each for each in content.get("delete", ()) if rewards.delete(each)],
        "changed": [each for each, fields in content.get("change", {}).items() if rewards.change(each, fields)],
    }


def _ten_points_more(customer: dict[str, Any] | None) -> dict[str, Any]:
    if customer is None:
        return {}
    fields = {"score": customer["score"] + 10}
    for account_id, account in customer["accounts"].items():
        fields[f"accounts.{account_id}.earned"] = account["earned"] + 10
    return fields
