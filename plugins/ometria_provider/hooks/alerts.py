"""Send an alert through the services that an Apprise connection names: Slack, e-mail and many others.

Airflow's own Apprise hook reads the connection; it does not say whether anything arrived, so each service is asked here
(docs/adr/0058).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any, Literal

from ometria_provider.exceptions import Misconfigured

#: How an alert looks where services show it: colours and symbols.
Kind = Literal["failure", "warning", "success", "info"]

_FORM = 'its extra has to be {"config": {"path": "<Apprise URL>"}}, or a list of such paths (docs/how-to/alerts.md).'


class AlertChannel:
    """Where alerts go.

    :param conn_id: a connection of type `apprise`.
    """

    def __init__(self, conn_id: str) -> None:
        self.conn_id = conn_id

    def services(self) -> list[Any]:
        """Return the services that the connection names, ready to be asked.

        :raises Misconfigured: when the provider, the connection or a URL is missing or wrong. URLs hold keys: none
            gets into the text or a log.
        """
        found = []
        for number, url in enumerate(self._urls(), start=1):
            with _silent():
                service = _apprise().Apprise.instantiate(url)
            if not service:
                raise Misconfigured(
                    f"Apprise does not understand URL {number} of connection `{self.conn_id}`: compare it with "
                    "Apprise's page of that service."
                )
            found.append(service)
        return found

    def send(self, title: str, body: str, kind: Kind) -> tuple[list[str], list[str]]:
        """Send an alert to each service; return which took it, and which did not.

        :raises Misconfigured: as :meth:`services`.
        """
        taken: list[str] = []
        refused: list[str] = []
        apprise = _apprise()
        for service in self.services():
            alone = apprise.Apprise()
            alone.add(service)
            done = alone.notify(body=body, title=title, notify_type=kind, body_format=apprise.NotifyFormat.TEXT)
            (taken if done else refused).append(str(service.service_name))
        return taken, refused

    def _urls(self) -> list[str]:
        try:
            from airflow.providers.apprise.hooks.apprise import AppriseHook
        except ImportError as error:
            raise Misconfigured(
                f"`[ometria] alerts_conn_id` is `{self.conn_id}`, and Airflow's Apprise provider is not installed: "
                "pip install apache-airflow-providers-apprise (our extra `alerts`), wherever tasks run."
            ) from error
        from airflow.sdk.exceptions import AirflowNotFoundException
        from airflow.sdk.log import mask_secret

        hook = AppriseHook(self.conn_id)
        try:
            connection = hook.get_connection(self.conn_id)
        except AirflowNotFoundException as error:
            raise Misconfigured(
                f"There is no connection `{self.conn_id}`, which `[ometria] alerts_conn_id` names: make one of type "
                "Apprise."
            ) from error
        try:
            config = hook.get_config_from_conn(connection)
            urls = [entry["path"] for entry in (config if isinstance(config, list) else [config])]
        except (KeyError, TypeError, ValueError):
            urls = []
        if not urls or not all(isinstance(url, str) and url for url in urls):
            raise Misconfigured(f"Connection `{self.conn_id}` names no service: {_FORM}")
        for url in urls:
            mask_secret(url)
        return urls


def _apprise() -> Any:
    import apprise

    return apprise


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep Apprise from logging the URL that it does not understand."""
    logger = logging.getLogger("apprise")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


__all__ = ["AlertChannel", "Kind"]
