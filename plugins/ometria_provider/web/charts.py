"""Charts as SVG, made here: without a script, readable by a screen reader, coloured by the style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

#: Bars of a chart of requests over time, at most.
MOST_BARS = 60


@dataclass(frozen=True)
class Bar:
    """One bar of a chart, of two parts.

    :param good: height of its lower part, in whatever the chart counts.
    :param bad: height of what stands on that.
    :param label: what a pointer shows.
    :param tone: class of the lower part in the style sheet.
    """

    good: float
    bad: float
    label: str
    tone: str = "good"


def bars(found: Sequence[Bar], *, title: str, width: int = 160, height: int = 36, limit: float | None = None) -> Markup:
    """Return bars from left to right.

    :param title: what a screen reader says in their place.
    :param limit: where to draw a line across.
    """
    highest = max([limit or 0.0, *(bar.good + bar.bad for bar in found)], default=0.0) or 1.0
    step = width / max(len(found), 12)
    drawn = [_bar(bar, index * step, step, height, highest) for index, bar in enumerate(found)]
    line = ""
    if limit is not None:
        y = height - limit / highest * height
        line = f'<line class="limit" x1="0" x2="{width}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return Markup(  # noqa: S704 (numbers, and text that is escaped)
        '<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" '
        f'viewBox="0 -1 {width} {height + 2}" width="{width}" height="{height + 2}">'
        f"<title>{escape(title)}</title>{''.join(drawn)}{line}</svg>"
    )


def _bar(bar: Bar, x: float, step: float, height: int, highest: float) -> str:
    good, bad = (part / highest * height for part in (bar.good, bar.bad))
    # What is there can be seen, however little it is beside the rest.
    good, bad = max(good, 1.5 if bar.good else 0.0), max(bad, 2.0 if bar.bad else 0.0)
    at, wide = f'x="{x:.1f}"', f'width="{max(step - 1.5, 0.5):.1f}"'
    parts = [f'<rect class="{bar.tone}" {at} {wide} y="{height - good:.1f}" height="{good:.1f}"/>'] if good else []
    if bad:
        parts.append(f'<rect class="bad" {at} {wide} y="{height - good - bad:.1f}" height="{bad:.1f}"/>')
    if not parts:
        parts.append(f'<rect class="nothing" {at} {wide} y="{height - 1}" height="1"/>')
    return f"<g><title>{escape(bar.label)}</title>{''.join(parts)}</g>"
