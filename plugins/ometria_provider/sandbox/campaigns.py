"""Ometria's side of a campaign: a custom event of one type starts it, and a template with tags becomes an e-mail.

Every property of the event is a tag, ``{{ event.reward_name }}``, or ``{{ event['mm:x'] }}`` for an ID with a colon; a
missing one renders blank. The event must belong to a known contact (contract/ometria.md, "Custom event"). A template is
a text file: its first line ``Subject: …``, a blank line, the e-mail. Nothing is sent to anybody.
"""

from __future__ import annotations

import datetime
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import ChainableUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

_SHIPPED = Path(__file__).with_name("reward_claimed.txt")
_OUTCOMES = ("sent", "unknown_contact", "no_address", "not_rendered")


class Campaign:
    """One campaign and the e-mails that it made.

    :param event_type: the custom events that start it; case matters.
    :param template: a file; None: the one that comes with the sandbox.
    :raises ValueError: the template cannot be read.
    """

    def __init__(self, event_type: str, template: Path | None, database: sqlite3.Connection) -> None:
        self.event_type, self._database = event_type, database
        environment = SandboxedEnvironment(undefined=ChainableUndefined, trim_blocks=True, lstrip_blocks=True)
        path = template or _SHIPPED
        try:
            self._template = environment.from_string(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, TemplateError) as error:
            raise ValueError(f"The campaign's template {path} cannot be used: {error}") from error

    def heard(self, event: dict[str, Any], contact: dict[str, Any] | None) -> None:
        """Start for a custom event that was stored, if it is of the campaign's type.

        :param contact: whose event it is; None: nobody whom Ometria knows, so that nothing starts.
        """
        if event["event_type"] != self.event_type:
            return
        recipient = (event.get("identity_email") or contact.get("email")) if contact else None
        subject = body = None
        outcome = "unknown_contact" if contact is None else "sent" if recipient else "no_address"
        if outcome == "sent":
            try:
                text = self._template.render(event=event.get("properties") or {})
            except (TemplateError, TypeError, ValueError, ArithmeticError):
                outcome = "not_rendered"
            else:
                first, _, body = text.partition("\n\n")
                subject = first.removeprefix("Subject:").strip()
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        self._database.execute(
            "insert or ignore into email (event_id, outcome, recipient, subject, body, sent_at) values (?,?,?,?,?,?)",
            (event["id"], outcome, recipient, subject, body, now),
        )

    def counts(self) -> dict[str, int]:
        """Return how often it started, and did not, by outcome."""
        rows = self._database.execute("select outcome, count(*) from email group by 1").fetchall()
        return dict.fromkeys(_OUTCOMES, 0) | dict(rows)

    def emails(self, limit: int, offset: int) -> list[dict[str, Any]]:
        """Return the e-mails, the newest first."""
        rows = self._database.execute(
            "select event_id, recipient, subject, body, sent_at from email where outcome='sent' "
            "order by id desc limit ? offset ?",
            (limit, offset),
        )
        names = ("event_id", "to", "subject", "text", "sent_at")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def forget(self) -> None:
        """Forget all that it did."""
        self._database.execute("delete from email")


class CustomEvents:
    """The custom events that came, by id: a repeated id is stored once (contract/ometria.md)."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def received(self, ids: list[str]) -> None:
        """Count events as they arrive, valid or not."""
        self._database.executemany(
            "insert into custom_event values (?,null,1) on conflict do update set received=received+1",
            [(each,) for each in ids],
        )

    def store(self, record: dict[str, Any]) -> bool:
        """Keep a valid event; False when its id was stored before."""
        kept = self._database.execute(
            "update custom_event set body=? where id=? and body is null", (msgspec.json.encode(record), record["id"])
        )
        return kept.rowcount == 1

    def get(self, event_id: str) -> dict[str, Any]:
        """Return an event as stored (None: it is not) and how often it came."""
        row = self._database.execute("select body, received from custom_event where id=?", (event_id,)).fetchone()
        body, received = row or (None, 0)
        return {"event": None if body is None else msgspec.json.decode(body), "received": received}

    def page(self, limit: int, offset: int) -> list[dict[str, Any]]:
        """Return stored events by id, as they were sent."""
        rows = self._database.execute(
            "select body from custom_event where body is not null order by id limit ? offset ?", (limit, offset)
        )
        return [msgspec.json.decode(body) for (body,) in rows]

    def totals(self) -> dict[str, int]:
        """Return how many are stored, how many came, and how often the most frequent one did."""
        row = self._database.execute(
            "select count(body), coalesce(sum(received), 0), coalesce(max(received), 0) from custom_event"
        ).fetchone()
        return dict(zip(("stored", "received", "most_for_one"), row, strict=True))

    def clear(self) -> None:
        """Forget everything."""
        self._database.execute("delete from custom_event")

    def clear_counts(self) -> None:
        """Forget how often they came."""
        self._database.execute("update custom_event set received=0")
