"""The report of one run, as plain data; :func:`report_text.render` makes it a page of text.

The DAG's last task logs it, `make run` and `ometria-sync show RUN` print it, the page of a run shows it.
"""

from ometria_provider.ledger.campaign_facts import ApiUse
from ometria_provider.report.gathering import as_data, run_report
from ometria_provider.report.shape import RunReport, StepTime
from ometria_provider.report.usage import APIS, step_times, use_of

__all__ = ["APIS", "ApiUse", "RunReport", "StepTime", "as_data", "run_report", "step_times", "use_of"]
