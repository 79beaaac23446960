"""What this provider serves inside Airflow's API server."""

#: Where the receiver of webhooks is mounted, and the place of Antavo's in it.
WEBHOOKS = "/ometria/webhooks"
ANTAVO = "/antavo"

#: The Airflow connection that says who may send; without it nothing is served.
CONNECTION = "antavo_webhook"

#: Where the pages are mounted, and the entry in Airflow's navigation that shows them in its frame.
PAGES = "/ometria"
NAVIGATION = "ometria-sync"


def airflow_root() -> str:
    """Return the path under which Airflow's API server is reached (`[api] base_url`), without a slash at its end."""
    from urllib.parse import urlsplit

    from airflow.configuration import conf

    return urlsplit(conf.get("api", "base_url", fallback="") or "/").path.rstrip("/")


def in_airflow(page: str) -> str:
    """Return the address that shows a page inside Airflow's own.

    :param page: what follows `/ometria`, such as `/runs/7`.
    """
    root = airflow_root()
    return f"{root}/plugin/{NAVIGATION}{root}{PAGES}{page}"
