"""Errors, named by what the caller does about them.

::

    SyncError
    ├── Retryable            try the same again later: the fault passes (5xx, resets, time-outs, a locked ledger)
    │   ├── Throttled        the account's rate limit was hit (429)
    │   └── LookupFailed     … unless what was asked for by id is alone at fault: others are answered meanwhile
    ├── Fatal                trying again changes nothing
    │   ├── Misconfigured    a person must mend a file, a connection, a param or a folder
    │   │   └── LookupRefused    … unless what was asked for by id is alone at fault: others go on where they can
    │   └── Halted           the run stopped on purpose, before harm was done
    │       └── AwaitingApproval     until a person says yes or no
    └── RecordRejected       one record (or one batch) is refused; the others go on

The text of each says what failed, where, and the next step. It never holds a member's data or a key.
"""

from __future__ import annotations


class SyncError(Exception):
    """Root of all errors of this package."""


class Retryable(SyncError):
    """The fault passes by itself: the same call may succeed later."""


class Throttled(Retryable):
    """The account's rate limit was hit.

    :param retry_after: seconds that the server asked us to wait, or None when it did not say.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LookupFailed(Retryable):
    """The server does not say what stands under one id, however often it is asked: it is down, or fails over this one.

    :param reason: status and words of the last answer, scrubbed.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Fatal(SyncError):
    """Trying again changes nothing."""


class Misconfigured(Fatal):
    """A person must mend a file, a connection, a param or a folder."""


class LookupRefused(Misconfigured):
    """The server refuses to say what stands under one id, and asking again would not help.

    :param reason: status and words of the answer, scrubbed.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Halted(Fatal):
    """The run stopped on purpose, before harm was done."""


class AwaitingApproval(Halted):
    """The run stopped until a person says yes or no: the gate parks itself."""


class RecordRejected(SyncError):
    """The server refuses what a request carries: one record when it was sent alone, else something in the batch.

    :param status: HTTP status code (400, 413 or 422; contract/ometria.md, design "Which errors split a batch").
    :param reason: the server's words, scrubbed of the records' values.
    """

    def __init__(self, message: str, *, status: int, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
