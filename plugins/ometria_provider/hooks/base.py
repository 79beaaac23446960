"""What both APIs share: one session, a time-out always, retries by a table, errors without data or keys."""

from __future__ import annotations

import contextlib
import copy
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec
import requests
import tenacity
from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk.exceptions import AirflowNotFoundException
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError

from ometria_provider.exceptions import Misconfigured, SyncError
from ometria_provider.hooks.answer import Action, Verdict, judge_failure, judge_response, leaf_texts
from ometria_provider.hooks.connection import Extras
from ometria_provider.hooks.departure import noticing
from ometria_provider.hooks.failure import error_of
from ometria_provider.hooks.pace import ATTEMPTS, FIRST_WAIT, PATIENCE, Limiter, Retries, Usage
from ometria_provider.hooks.request import Api, Call
from ometria_provider.hooks.session import ApiSession

CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 60.0  # seconds between two bytes; the extra `timeout` replaces it


class JsonApiHook(HttpHook):
    """A JSON API behind an Airflow connection.

    Differs from the HTTP provider's hook on purpose: the extra never becomes headers, one session is kept alive for
    all requests and threads, there is always a time-out, redirects are not followed (the key would travel along), and
    neither bodies nor keys are logged. Making the object does no I/O; the connection is read at the first use.

    :param conn_id: the Airflow connection.
    :param limiter: asked right before every attempt; None: no limit.
    :param attempts: how often a request is sent before the fault is the caller's.
    :param first_wait: seconds before the second attempt.
    :param sleep: waits so many seconds.
    """

    service: ClassVar[str]
    known_extras: ClassVar[tuple[str, ...]] = ("timeout",)
    denied_advice: ClassVar[str] = "Check its keys."

    def __init__(
        self,
        conn_id: str,
        *,
        limiter: Limiter | None = None,
        attempts: int = ATTEMPTS,
        first_wait: float = FIRST_WAIT,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(method="GET", http_conn_id=conn_id, tcp_keep_alive=False)
        self.conn_id = conn_id
        self.usage = Usage()
        #: Seconds by which this machine's clock is ahead of the server's, by its last answer; None: it did not say.
        self.skew: float | None = None
        self.timeout = READ_TIMEOUT
        self._limiter = limiter
        self._retries = Retries(attempts, first_wait)
        self._sleep = sleep
        self._lock = threading.RLock()
        self._session: requests.Session | None = None
        self._prepared: dict[str, requests.PreparedRequest] = {}
        self._ready = False
        self._secrets: tuple[str, ...] = ()

    @property
    def limiter(self) -> Limiter | None:
        """Who is asked before every attempt; may be set later, since the rates stand in the connection."""
        return self._limiter

    @limiter.setter
    def limiter(self, limiter: Limiter | None) -> None:
        self._limiter = limiter

    # -- the connection -------------------------------------------------------------------------------------------

    @abstractmethod
    def _configure(self, connection: Any, extras: Extras) -> Api:
        """Take everything from the connection and return the API that ``run()`` talks to."""

    def _load(self) -> None:
        """Read the connection, once.

        :raises Misconfigured: it is not defined, or something in it is wrong.
        """
        with self._lock:
            if self._ready:
                return
            try:
                connection = self.get_connection(self.conn_id)
            except AirflowNotFoundException:
                raise Misconfigured(
                    f"Connection {self.conn_id!r} is not defined; add one of type {self.conn_type!r}."
                ) from None
            extras = Extras.parse(self.conn_id, connection.extra)
            if unknown := extras.unknown(self.known_extras):
                self.log.warning("Connection %s: nobody reads the extra %s", self.conn_id, ", ".join(unknown))
            self._secrets = tuple(key.strip() for key in (connection.login, connection.password) if key)
            self.timeout = extras.number("timeout", READ_TIMEOUT)
            self._main = self._configure(connection, extras)
            self.base_url, self._base_url_initialized = self._main.root, True
            self._ready = True

    def get_conn(
        self,
        headers: dict[Any, Any] | None = None,  # noqa: ARG002 - the HTTP provider's signature
        extra_options: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> requests.Session:
        """Give the session, the same one each time; safe for ``concurrency`` threads.

        :param headers: not used: headers belong to a request.
        :param extra_options: not used: the extra is settings of ours.
        """
        self._load()
        with self._lock:
            if self._session is None:
                self._session = ApiSession(self._main.auth, self._pool_size())
            return self._session

    def _pool_size(self) -> int:
        """Connections that are kept open for each host; more threads than that wait."""
        return 8

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        with self._lock:
            if self._session is not None:
                self._session.close()
                self._session = None

    @contextlib.contextmanager
    def _asking_once(self) -> Iterator[None]:
        """Try each request once: somebody waits for the answer."""
        usual, self._retries = self._retries, replace(self._retries, attempts=1)
        try:
            yield
        finally:
            self._retries = usual

    # -- the HTTP provider's own seams ----------------------------------------------------------------------------

    def run_and_check(
        self, session: requests.Session, prepped_request: requests.PreparedRequest, extra_options: dict[Any, Any]
    ) -> requests.Response:
        """Send one prepared request, with the time-out, following no redirect.

        :param extra_options: ``check_response: False`` leaves the status to the caller; nothing else is read.
        """
        response = session.send(
            prepped_request,
            timeout=(min(CONNECT_TIMEOUT, self.timeout), self.timeout),
            allow_redirects=False,
            **session.merge_environment_settings(str(prepped_request.url), {}, False, None, None),
        )
        if extra_options.get("check_response", True):
            self.check_response(response)
        return response

    def check_response(self, response: requests.Response) -> None:
        """Raise by the status table; nothing of the body is logged."""
        verdict = judge_response(response, unspeakable=self._secrets)
        if verdict.action is not Action.DONE:
            raise self._error(f"a request to {self.service}", verdict)

    # -- requests -------------------------------------------------------------------------------------------------

    def call(self, call: Call, *, absent: Callable[[Verdict], bool] | None = None) -> Any:
        """Send a request until it is answered, and return the decoded JSON.

        :param absent: says of an answer that it means "no such thing"; then None is returned.
        :raises Retryable: no usable answer in all attempts; `LookupFailed` where one thing is asked for by its id.
        :raises Throttled: 429 in the last attempt.
        :raises RecordRejected: 400, 413 or 422 to a request with a body.
        :raises LookupRefused: the same, or a fault for good, where one thing is asked for by its id.
        :raises Misconfigured: anything that another attempt would not mend.
        """
        session = self.get_conn()
        verdict = self._attempt(session, call)
        if verdict.again and not (absent and absent(verdict)):
            verdict = self._try_again(session, call, verdict, absent)
        if absent and absent(verdict):
            return None
        if verdict.action is Action.DONE:
            return verdict.data
        raise self._error(str(call), verdict, is_push=call.body is not None, is_lookup=bool(call.parts))

    def _error(self, what: str, verdict: Verdict, **kind: bool) -> SyncError:
        """Return the error that the last verdict ends as (`error_of`)."""
        return error_of(
            what, verdict, conn_id=self.conn_id, attempts=self._retries.attempts, advice=self.denied_advice, **kind
        )

    def _try_again(
        self, session: requests.Session, call: Call, first: Verdict, absent: Callable[[Verdict], bool] | None
    ) -> Verdict:
        """Send a request that failed until it is answered, and return the last verdict.

        :param first: what became of the first attempt; it counts as one. Nearly every request is answered at once, and
            what follows is made only for those that are not.
        """
        made = [first]
        verdict: Verdict = tenacity.Retrying(
            stop=lambda state: self._retries.is_last(_last(state), state.attempt_number),
            after=lambda state: self._hold_back(call, state),
            wait=lambda state: self._retries.pause(_last(state), state.attempt_number),
            retry=tenacity.retry_if_result(lambda verdict: verdict.again and not (absent and absent(verdict))),
            retry_error_callback=_last,
            before_sleep=lambda state: self._announce(call, state),
            sleep=self._sleep,
        )(lambda: made.pop() if made else self._attempt(session, call))
        return verdict

    def _attempt(self, session: requests.Session, call: Call) -> Verdict:
        # The error is judged and let go here: its text and its traceback hold the URL, and so perhaps the key.
        try:
            # After the lease every millisecond is jitter: what can be made before, is. A signature with the time in it
            # cannot: the wait may be long.
            prepared = None if call.api.dated else self._prepare(session, call)
            if self._limiter:
                self._limiter.acquire(call.bucket)
            self._count(requests=1)
            prepared = prepared or self._prepare(session, call)
            with noticing(lambda: self._has_departed(call)):
                response = self.run_and_check(session, prepared, {"check_response": False})
        except (HTTPError, OSError) as error:
            return judge_failure(error, urlsplit(call.api.root).netloc)
        verdict = judge_response(response, unspeakable=self._unspeakable(call), picked=call.picked)
        self.skew = verdict.skew
        if verdict.action is Action.DONE and call.check and (complaint := call.check(verdict.data)):
            return Verdict(Action.AGAIN, status=verdict.status, reason=complaint)
        return verdict

    def _has_departed(self, call: Call) -> None:
        if self._limiter:
            self._limiter.departed(call.bucket)

    def _prepare(self, session: requests.Session, call: Call) -> requests.PreparedRequest:
        """Prepare a request. Pushes differ in nothing but their body: all else is prepared once."""
        if call.body is None or call.api.dated:
            return session.prepare_request(call.request())
        if call.path not in self._prepared:
            self._prepared[call.path] = session.prepare_request(call.request())
        prepared = copy.copy(self._prepared[call.path])
        prepared.headers = CaseInsensitiveDict(prepared.headers, **{"Content-Length": str(len(call.body))})
        prepared.body = call.body
        return prepared

    def _unspeakable(self, call: Call) -> Iterator[str]:
        """Give what no message may repeat: the keys, and the values of the records that were sent."""
        yield from self._secrets
        if call.body is not None:
            yield from leaf_texts(msgspec.json.decode(call.body))

    def _hold_back(self, call: Call, state: tenacity.RetryCallState) -> None:
        """After a 429: let nobody on the account go before this request may go again."""
        verdict = _last(state)
        if verdict.action is Action.THROTTLED:
            self._count(throttled=1)
            if self._limiter:
                # Never for longer than a worker may wait: what is longer is for the scheduler to wait for.
                pause = min(self._retries.pause(verdict, state.attempt_number), PATIENCE)
                self._limiter.yield_for(call.bucket, pause)

    def _announce(self, call: Call, state: tenacity.RetryCallState) -> None:
        self._count(retried=1)
        self.log.warning(
            "%s: %s; attempt %d of %d, again in %.1f s",
            call,
            _last(state).describe(),
            state.attempt_number,
            self._retries.attempts,
            state.next_action.sleep if state.next_action else 0.0,
        )

    def _count(self, **changes: int) -> None:
        with self._lock:
            for name, change in changes.items():
                setattr(self.usage, name, getattr(self.usage, name) + change)


def _last(state: tenacity.RetryCallState) -> Verdict:
    if state.outcome is None:
        raise RuntimeError("tenacity asked about an attempt that was not made")
    verdict: Verdict = state.outcome.result()
    return verdict
