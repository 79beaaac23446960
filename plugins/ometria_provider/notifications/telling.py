"""Look what is wrong, write it down, and tell people of what they have not heard yet."""

from __future__ import annotations

import logging

from ometria_provider.addresses import base_url
from ometria_provider.attention import SYNC, look
from ometria_provider.dagdefaults import CAMPAIGN_EVENTS, CONTACT_SYNC
from ometria_provider.exceptions import Misconfigured, Retryable, SyncError
from ometria_provider.hooks.alerts import AlertChannel
from ometria_provider.ledger import history, incidents, rejections
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.incidents import IncidentRow
from ometria_provider.ledger.standing import Standing, standing
from ometria_provider.notifications.message import Alert, Facts, alert
from ometria_provider.settings import Settings

log = logging.getLogger(__name__)

#: Where Airflow is when `[api] base_url` does not say: a mail has nothing else to be relative to.
LOCAL = "http://localhost:8080"


class AlertNotSent(Retryable):
    """People could not be told of an incident; it stays due."""


def tell(ledger: Ledger, settings: Settings, *, only: str | None = None) -> int:
    """Bring the incidents up to date, tell people of those that are due, and return of how many.

    :param only: the id of the DAG to look at; None: all.
    :raises AlertNotSent: when no service took one of them; all were tried.
    :raises Misconfigured: when nobody can be told: a connection, a URL, the provider.
    """
    look(ledger, settings, only=only)
    if settings.alerts_conn_id is None:
        return 0
    channel = AlertChannel(settings.alerts_conn_id)
    due = incidents.claim_due(ledger, dag_ids=None if only is None else [only])
    failures = [failure for incident in due if (failure := _tell_of(ledger, channel, incident))]
    if failures:
        raise failures[0]
    return len(due)


def tell_from_within(ledger: Ledger, settings: Settings, dag_id: str) -> None:
    """Tell people in the middle of a run, which goes on whatever becomes of that: `watch_syncs` tries again.

    :param dag_id: the run's DAG.
    """
    try:
        tell(ledger, settings, only=dag_id)
    except Exception:  # any service's client may raise anything
        log.warning("People could not be told", exc_info=True)


def _tell_of(ledger: Ledger, channel: AlertChannel, incident: IncidentRow) -> SyncError | None:
    """Tell people of one incident; return why that was in vain."""
    message = _message(ledger, incident)
    try:
        taken, refused = channel.send(message.title, message.body, message.kind)
    except Misconfigured as error:
        incidents.not_told(ledger, incident, str(error))
        return error
    if not taken:
        words = f"{_names(refused)} did not take the alert “{message.title}”. Try `ometria-sync alerts --test`."
        incidents.not_told(ledger, incident, words)
        return AlertNotSent(words)
    failure = f"{_names(refused)} did not take it; {_names(taken)} did." if refused else None
    if failure:
        log.warning("Alert “%s”: %s", message.title, failure)
    incidents.told(ledger, incident, failure=failure)
    log.info("Told %s: %s", _names(taken), message.title)
    return None


def _message(ledger: Ledger, incident: IncidentRow) -> Alert:
    where = standing(ledger, incident.dag_id)
    run_id = _run_of(incident, where)
    return alert(
        Facts(
            incident=incident,
            name=incident.dag_id.removeprefix(CONTACT_SYNC).removeprefix(CAMPAIGN_EVENTS),
            run=history.run_row(ledger, run_id) if run_id is not None else None,
            rejections=rejections.rejection_groups(ledger, run_id) if run_id is not None else [],
            is_green=where.green_at is not None and where.green_at >= incident.opened_at,
            base_url=base_url() or LOCAL,
        )
    )


def _run_of(incident: IncidentRow, where: Standing) -> int | None:
    """Return the run to tell of: the one that shows what is wrong; that it is over, the green one."""
    if incident.over_at is not None and incident.topic == SYNC and where.ended is not None:
        return where.ended.id
    return incident.sync_run_id


def _names(services: list[str]) -> str:
    return ", ".join(services)


__all__ = ["AlertNotSent", "tell", "tell_from_within"]
