"""Retry from a page what a run left undelivered: what `ometria-sync retry` does, in the user's name."""

from __future__ import annotations

from dataclasses import dataclass

from ometria_provider.dagdefaults import contact_sync_id
from ometria_provider.exceptions import Retryable
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.history import RunRow
from ometria_provider.leftover import left, run_to_retry
from ometria_provider.origin import origin_of
from ometria_provider.report import RunReport
from ometria_provider.settings import read_settings


class RetryNotStarted(Retryable):
    """Airflow did not take the run that a page asked for."""


@dataclass(frozen=True)
class Started:
    """What a retry came to.

    :param members: how many are undelivered.
    :param started: Airflow's id of the run; None: there was nothing to do.
    """

    members: int
    started: str | None


def worth_it(report: RunReport) -> bool:
    """Say whether a run may have left something that another could deliver."""
    run = report.run
    if run.dry_run or run.account is None or run.ended_at is None or origin_of(run).sync is None:
        return False
    return bool(
        report.books.pending
        or any(end.state in {"rejected", "pending", "undelivered"} for end in report.ended)
        or (report.books.new and not report.ended)
    )


def retry(ledger: Ledger, run: RunRow, user: str) -> Started:
    """Start a run for what another left undelivered; nothing when nothing is.

    :param user: in whose name.
    :raises Misconfigured: when the run cannot be retried.
    :raises RetryNotStarted: when Airflow does not make the run, saying why.
    """
    found = run_to_retry(ledger, str(run.id), mapping=run.mapping)
    members = left(ledger, read_settings().staging_path, found)
    conf = {"retry_run": found.id}
    return Started(len(members), trigger(contact_sync_id(found.mapping), conf, user) if members else None)


def trigger(dag_id: str, conf: dict[str, int], user: str) -> str:
    """Make a DAG run as Airflow's own API does it in this process, and return its run id.

    :raises RetryNotStarted: when Airflow does not make it.
    """
    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.sdk.exceptions import AirflowException
    from airflow.utils.types import DagRunTriggeredByType

    try:
        made = trigger_dag(dag_id, triggered_by=DagRunTriggeredByType.UI, triggering_user_name=user, conf=dict(conf))
    except (AirflowException, ValueError) as error:
        raise RetryNotStarted(f"Airflow did not start a run of {dag_id}: {error}.") from error
    if made is None:
        raise RetryNotStarted(f"Airflow did not start a run of {dag_id}, and does not say why.")
    return str(made.run_id)
