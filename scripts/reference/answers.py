"""docs/reference/answers.md: what the hooks do with each answer of Antavo and Ometria."""

from __future__ import annotations

from ometria_provider.hooks import pace
from ometria_provider.hooks.answer import FAILURE_TABLE, STATUS_TABLE, Action

from reference import markdown

#: What the caller sees when an answer stays as it is in every attempt.
_ENDS_AS = {
    Action.DONE: "the answer",
    Action.AGAIN: "`Retryable`",
    Action.THROTTLED: "`Throttled`",
    Action.DENIED: "`Misconfigured`",
    Action.ABSENT: "“there is none” where that is an answer (a list, a contact), else `Misconfigured`",
    Action.REFUSED: "`RecordRejected` for a push, which then splits the batch; else `Misconfigured`",
    Action.BROKEN: "`Misconfigured`",
}

_NOTES = f"""\
- A request is sent up to {pace.ATTEMPTS} times. The pauses double from {pace.FIRST_WAIT:g} s (twice that after a 429)
  to {pace.LONGEST_WAIT:g} s, and are never shorter than the server's `Retry-After`. After a 429 nobody on that account
  goes before the pause is over. A `Retry-After` beyond {pace.PATIENCE:g} s ends the attempts; the task tries again.
- A 200 without the documented JSON (a proxy's HTML page, a truncated body) acknowledges nothing: again.
- A 404 with an HTML page means a wrong host or base path: stop.
- Antavo's `resendable` wins over the table: `true` with another 4xx than 401, 403 and 429 means again, `false` with a
  5xx means stop.
- A redirect is never followed: the key would travel along."""


def page() -> str:
    """Return the page."""
    statuses = [
        (str(first) if first == last else f"{first} to {last}", meaning, action.value, _ENDS_AS[action])
        for first, last, action, meaning in STATUS_TABLE
    ]
    failures = [
        (markdown.code(kind.__name__), meaning.format(host="the host"), action.value, _ENDS_AS[action])
        for kind, action, meaning in FAILURE_TABLE
    ]
    return markdown.page(
        "What an answer leads to",
        "plugins/ometria_provider/hooks/answer.py",
        "## Status codes\n\n" + markdown.table(("status", "meaning", "what the hook does", "ends as"), statuses),
        "Any other status is one that the API does not document: stop.",
        "## No answer\n\n"
        "The first row that fits decides. A certificate that is not trusted stops the work; a host name that does not "
        "resolve is tried again.\n\n"
        + markdown.table(("transport error", "meaning", "what the hook does", "ends as"), failures),
        "## In both cases\n\n" + _NOTES,
    )
