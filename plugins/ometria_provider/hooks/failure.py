"""What the caller of a hook is told when a request failed for good: errors named by what to do about them."""

from __future__ import annotations

from ometria_provider.exceptions import (
    LookupFailed,
    LookupRefused,
    Misconfigured,
    RecordRejected,
    Retryable,
    SyncError,
    Throttled,
)
from ometria_provider.hooks.answer import Action, Verdict


def error_of(
    what: str,
    verdict: Verdict,
    *,
    conn_id: str,
    attempts: int,
    advice: str,
    is_push: bool = False,
    is_lookup: bool = False,
) -> SyncError:
    """Turn the last verdict into the error that says what the caller does about it.

    :param what: the request, as messages name it.
    :param attempts: how often it was sent at most.
    :param advice: what to check when the key was refused.
    :param is_push: it carried records.
    :param is_lookup: it asked for one thing by its id.
    """
    text = f"{what}: {verdict.describe()}."
    where = f"Connection {conn_id!r}"
    match verdict.action:
        case Action.THROTTLED:
            return Throttled(
                f"{text} {where} is over its limit; lower its requests per minute or second if this comes back.",
                retry_after=verdict.retry_after,
            )
        case Action.AGAIN:
            tried = f" Tried {attempts} times; try again later." if attempts > 1 else ""
            said = f"{where}: {text}{tried}"
            return LookupFailed(said, reason=verdict.describe()) if is_lookup else Retryable(said)
        case Action.REFUSED if verdict.status is not None and is_push:
            return RecordRejected(text, status=verdict.status, reason=verdict.reason)
        case Action.REFUSED | Action.BROKEN if is_lookup and _is_about_what_it_asked(verdict):
            return LookupRefused(f"{where}: {text} Asking again does not help.", reason=verdict.describe())
        case Action.DENIED:
            return Misconfigured(f"{where}: {text} {advice}{_clock(verdict)}")
        case _:
            return Misconfigured(f"{where}: {text} Check the connection; trying again does not help.")


def _is_about_what_it_asked(verdict: Verdict) -> bool:
    """Say whether a refusal may be about the one thing that was asked for: its id, or a lasting fault where it lies."""
    return verdict.action is Action.REFUSED or (verdict.status or 0) >= 500


def _clock(verdict: Verdict) -> str:
    """Name the clocks when they differ by more than a signature may (300 s; contract/antavo.md "Traps")."""
    skew = verdict.skew or 0.0
    if abs(skew) <= 300:
        return ""
    way = "ahead of" if skew > 0 else "behind"
    return f" This machine's clock is {abs(skew):.0f} s {way} the server's: set it, signatures allow 300 s."
