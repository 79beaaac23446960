"""Receive Antavo's webhooks: POST /ometria/webhooks/antavo, in Airflow's API server.

The route is public, as Antavo has no account in Airflow; the connection `antavo_webhook` says who may send.
"""

from __future__ import annotations

import asyncio
import logging

from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from ometria_provider.exceptions import Misconfigured, Retryable, SyncError
from ometria_provider.web import ANTAVO
from ometria_provider.web.credentials import Credentials, Denied, Expired
from ometria_provider.web.intake import Intake
from ometria_provider.web.keeping import Arrival, Keeper, Kept, Outcome
from ometria_provider.web.lookup import CurrentCredentials, airflow_connection
from ometria_provider.web.payload import Unreadable, read_webhook
from ometria_provider.workflows.events import Event

log = logging.getLogger(__name__)

#: Bytes of a body. Every event is asked for too, so that a larger one is not lost.
LARGEST_BODY = 1024 * 1024

#: Requests in work at once; more are asked to come again.
MOST_IN_WORK = 200

#: Seconds that a sender gets for its body, and the ledger for keeping an event.
READ_SECONDS = 10.0
KEEP_SECONDS = 10.0

#: Seconds after which a sender should try again: as long as Antavo waits by itself (contract/antavo.md).
RETRY_AFTER = 10


class Refused(Exception):
    """What a webhook is answered instead of 200.

    :param reason: for the log, without anything of the request or of a secret.
    :param said: for the sender; the default is the reason.
    """

    def __init__(self, status: int, reason: str, *, said: str | None = None, **headers: str) -> None:
        super().__init__(reason)
        self.status = status
        self.said = said or reason
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    @classmethod
    def later(cls, reason: str) -> Refused:
        """Ask for another try. What is wrong here is nothing to the sender, but to those who read the log."""
        return cls(503, reason, said="the event was not kept; send it again", Retry_After=str(RETRY_AFTER))

    @classmethod
    def denied(cls, credentials: Credentials, error: Denied) -> Refused:
        """Let nobody in."""
        return cls(401, str(error), WWW_Authenticate=credentials.challenge)


def create_app() -> FastAPI:
    """Return the app that the API server mounts; it has no pages about itself."""
    receiver = Receiver(CurrentCredentials(airflow_connection), Keeper())
    app = FastAPI(title="Ometria webhooks", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.add_route(ANTAVO, receiver.receive, methods=["POST"])
    return app


class Receiver:
    """Answers 2xx only when an event is safely in the inbox, or when nobody wants it.

    :param credentials: who may send, at this moment.
    :param keeper: writes into the inbox.
    """

    def __init__(self, credentials: CurrentCredentials, keeper: Keeper) -> None:
        self._credentials = credentials
        self._intake: Intake[Arrival, Outcome] = Intake(keeper.keep, shared_faults=(SyncError,))
        self._in_work = 0

    async def receive(self, request: Request) -> Response:
        """Take one webhook."""
        try:
            kept = await self._receive(request)
        except Refused as answer:
            log.log(
                logging.ERROR if answer.status >= 500 else logging.WARNING,
                "A webhook was answered %s: %s",
                answer.status,
                answer,
            )
            return JSONResponse({"status": "refused", "reason": answer.said}, answer.status, answer.headers)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody hears it
        if kept is None:
            return JSONResponse({"detail": "Not Found"}, 404)
        return JSONResponse(_accepted(kept))

    async def _receive(self, request: Request) -> Kept | None:
        """Return what became of the event; None when there is no connection, so that nothing is served."""
        try:
            credentials = await self._credentials.get()
        except Exception as error:  # noqa: BLE001  # a secrets backend may raise anything, with secrets in its text
            reason = str(error) if isinstance(error, Misconfigured) else f"connection: {type(error).__name__}"
            raise Refused.later(reason) from None
        if credentials is None:
            return None
        token, expired = None, None
        try:
            token = credentials.check(request.headers.get("authorization"))
        except Expired as error:  # the sender's own: `trace` shows of which event
            expired = error
        except Denied as error:
            raise Refused.denied(credentials, error) from None
        if self._in_work >= MOST_IN_WORK:
            raise Refused.later(f"{MOST_IN_WORK} webhooks are in work already")
        self._in_work += 1
        try:
            try:
                event = await _event(request)
            except Refused:
                if expired is not None:
                    raise Refused.denied(credentials, expired) from None
                raise
            return await self._keep(credentials, Arrival(credentials.account, event, token, expired))
        finally:
            self._in_work -= 1

    async def _keep(self, credentials: Credentials, arrival: Arrival) -> Kept:
        try:
            async with asyncio.timeout(KEEP_SECONDS):
                outcome = await self._intake.put(arrival)
        except TimeoutError:
            raise Refused.later(f"the ledger did not take the event within {KEEP_SECONDS:.0f} seconds") from None
        except SyncError as error:
            raise Refused.later(str(error)) from None
        if isinstance(outcome, Denied):
            raise Refused.denied(credentials, outcome)
        if isinstance(outcome, Retryable):
            raise Refused.later(str(outcome))
        return outcome


async def _event(request: Request) -> Event:
    try:
        async with asyncio.timeout(READ_SECONDS):
            body = await _body(request)
    except TimeoutError:
        raise Refused(408, f"the body did not come within {READ_SECONDS:.0f} seconds", Connection="close") from None
    try:
        return read_webhook(body)
    except Unreadable as error:
        raise Refused(422, str(error)) from None


async def _body(request: Request) -> bytes:
    """Read the body, no further than it may go."""
    too_large = Refused(413, f"the body is larger than {LARGEST_BODY} bytes", Connection="close")
    if int(request.headers.get("content-length") or 0) > LARGEST_BODY:
        raise too_large
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_BODY:
            raise too_large
        parts.append(part)
    return b"".join(parts)


def _accepted(kept: Kept) -> dict[str, str | int]:
    if not kept.workflows:
        return {"status": "ignored", "workflows": 0, "reason": "no workflow is about such an event"}
    return {"status": "kept" if kept.new else "duplicate", "workflows": len(kept.workflows)}
