"""Find every customer who changed, through a search that has no order (design.md "No customer missed").

A customer who changes leaves the window that it was in, and those behind it move up: offset pages lose some. So a
window of ``updated_at`` is halved until one page holds it: that answer is of one moment. Whoever leaves a window while
it is searched changed again: the next search finds them. Only a window of a single second that one page cannot hold
needs offsets; it is passed over until nobody new shows up and nothing moved.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Generator, Iterator

from ometria_provider.exceptions import Misconfigured, Retryable

Instant = datetime.datetime

#: Asked for with (from, before, offset): ids, and whether there may be more of them.
FetchIds = Callable[[Instant, Instant, int], tuple[list[str], bool]]

#: The shortest window: the Loyalty API tells times in whole seconds.
SECOND = datetime.timedelta(seconds=1)

MAX_PASSES = 20  # over the customers of one second


def walk_changes(fetch: FetchIds, since: Instant, until: Instant) -> Iterator[list[str]]:
    """Yield lists of ids: each customer whose ``updated_at`` stays in the window, and some more than once.

    :param since: a whole second.
    :param until: a whole second, fixed before the walk begins.
    :raises Misconfigured: the server ignores the window.
    :raises Retryable: the customers of one second keep moving.
    """
    windows = [(since, until)]
    full_before: tuple[Instant, list[str]] | None = None
    while windows:
        low, high = windows.pop()
        if low >= high:
            continue
        ids, full = fetch(low, high, 0)
        if not full:
            yield ids
            continue
        if full_before and low >= full_before[0] and ids == full_before[1]:
            raise Misconfigured("The Loyalty API does not search by updated_at: two windows hold the same customers.")
        full_before = high, ids
        if high - low > SECOND:
            middle = low + ((high - low) // 2) // SECOND * SECOND
            windows += [(middle, high), (low, middle)]
        else:
            yield from _one_second(fetch, low, high)


def _one_second(fetch: FetchIds, low: Instant, high: Instant) -> Iterator[list[str]]:
    """Yield the customers of a second that one page cannot hold."""
    seen: set[str] = set()
    for _ in range(MAX_PASSES):
        before = len(seen)
        count, tidy = yield from _pass(fetch, low, high, seen)
        if len(seen) >= count and (tidy or len(seen) == before):
            return
    raise Retryable(f"Customers updated at {low} keep moving while they are read; try again when fewer change.")


def _pass(fetch: FetchIds, low: Instant, high: Instant, seen: set[str]) -> Generator[list[str], None, tuple[int, bool]]:
    """Read the second's customers by offset; return how many there are, and whether nothing moved meanwhile.

    Each page begins with the last of the page before: another one there means that somebody left and others moved up.
    """
    offset, last, tidy = 0, "", True
    while True:
        ids, full = fetch(low, high, offset)
        tidy = tidy and (not offset or ids[:1] == [last])
        new = list(dict.fromkeys(id_ for id_ in ids if id_ not in seen))
        seen.update(new)
        yield new
        if not full or len(ids) < 2:
            return offset + len(ids), tidy
        offset, last = offset + len(ids) - 1, ids[-1]
        if offset > 100 * (len(seen) + 1):
            raise Misconfigured("The Loyalty API ignores the offset, so that a search would miss customers.")
