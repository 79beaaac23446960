"""Where the pages are: for those who serve them, and for those who link to them."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

#: Where the pages are mounted, and the entry in Airflow's navigation that shows them in its frame.
PAGES = "/ometria"
NAVIGATION = "ometria-sync"


def base_url() -> str:
    """Return where people reach Airflow (`[api] base_url`), without a slash at its end; empty when nobody said."""
    from airflow.configuration import conf

    return (conf.get("api", "base_url", fallback="") or "").rstrip("/")


def airflow_root() -> str:
    """Return the path under which Airflow's API server is reached, without a slash at its end."""
    return urlsplit(base_url()).path


def in_airflow(page: str) -> str:
    """Return the address that shows a page inside Airflow's own.

    :param page: what follows `/ometria`, such as `/runs/7`.
    """
    root = airflow_root()
    return f"{root}/plugin/{NAVIGATION}{root}{PAGES}{page}"


def run_page(number: int, part: str = "") -> str:
    """Return the path of a run's page, behind Airflow's root.

    :param part: of that page, such as `/changes`.
    """
    return f"{PAGES}/runs/{number}{part}"


def airflow_dag(dag_id: str) -> str:
    """Return the path of a DAG in Airflow's own pages, behind their root."""
    return f"/dags/{quote(dag_id, safe='')}"


def airflow_run(dag_id: str, run_id: str) -> str:
    """Return the path of an Airflow run in Airflow's own pages, behind their root."""
    return f"{airflow_dag(dag_id)}/runs/{quote(run_id, safe='')}"


def run_of(dag_id: str, run_id: str) -> str:
    """Return what follows `/ometria` in the address that leads from an Airflow run to its page.

    :param dag_id: as the ledger knows it.
    """
    return f"/of/{quote(dag_id, safe='')}?run={quote(run_id, safe='')}"
