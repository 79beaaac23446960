"""docs/reference/metrics.md: what is measured, by which name."""

from __future__ import annotations

from ometria_provider.metrics import LETTERS, METRICS, PREFIX

from reference import markdown

_INTRO = f"""\
Through Airflow's own statistics: set `[metrics] statsd_on` (or `statsd_datadog_enabled`, `otel_on`) of airflow.cfg on
the workers, and these come beside Airflow's (StatsD's client is the extra `metrics`, and in the image). Names begin
with `[metrics] statsd_prefix` (`airflow`) and `{PREFIX}`. A backend that carries tags gets them as tags; plain StatsD
gets their values as parts of the name, in this order: `airflow.{PREFIX}.sent.customers`. Letters that a name cannot
have become `_`, values end after {LETTERS} letters, and one that is missing is `none`. No member's data is in any of
them."""

_NOTES = """\
- `name` is the mapping, or the Antavo connection of campaigns; `api` is `Antavo` or `Ometria`.
- A task that is tried again or cleared counts what it did this time: nothing that was acknowledged before. When a run
  is cleared, `accepted` counts what has come on top, and `rejected` what is rejected anew.
- `undelivered_age` and `incidents` come from the DAG `watch_syncs`, every five minutes.
- A metric that cannot be sent is a warning in the task's log; it harms no run."""


def page() -> str:
    """Return the page."""
    rows = [
        (markdown.code(f"{PREFIX}.{one.name}"), one.kind, ", ".join(map(markdown.code, one.tags)), one.meaning)
        for one in METRICS
    ]
    table = markdown.table(("metric", "kind", "tags", "what it is"), rows)
    return markdown.page("Metrics", "plugins/ometria_provider/metrics.py", _INTRO, table, _NOTES)
