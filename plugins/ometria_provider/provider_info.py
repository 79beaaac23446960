"""Tell Airflow what this distribution brings: connection types, the configuration section, module lists."""

from __future__ import annotations

from typing import Any

from ometria_provider import __version__

#: What a DAG's author imports, by the service that it works with.
_OPERATORS = {
    "Antavo": ("antavo", "campaign"),
    "Ometria": ("ometria", "mapping", "validate", "run", "reconcile", "maintenance", "watch"),
}
_HOOKS: dict[str, tuple[str, ...]] = {"Antavo": ("antavo",), "Ometria": ("ometria",)}
_TRIGGERS: dict[str, tuple[str, ...]] = {"Antavo": ("inbox",)}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata (Airflow reads it through the entry point).

    The plugin is no part of it: Airflow would hand the class out where it reads the apps from an instance, so it has
    an entry point of its own.
    """
    return {
        "package-name": "airflow-provider-ometria",
        "name": "Ometria",
        "description": "Keeps Ometria contacts in step with Antavo customers.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": "Antavo",
                "external-doc-url": "https://antavo.com/",
                "tags": ["service"],
            },
            {
                "integration-name": "Ometria",
                "external-doc-url": "https://developers.ometria.com/",
                "tags": ["service"],
            },
        ],
        "hooks": _modules("hooks", _HOOKS),
        "operators": _modules("operators", _OPERATORS),
        "notifications": ["ometria_provider.notifications.ometria.SyncNotifier"],
        "triggers": _modules("triggers", _TRIGGERS),
        "extra-links": ["ometria_provider.operators.links.SyncLink"],
        "connection-types": [_antavo_connection(), _ometria_connection()],
        "config": {"ometria": {"description": "Keeping Ometria contacts in step.", "options": _options()}},
    }


def _modules(room: str, names: dict[str, tuple[str, ...]]) -> list[dict[str, Any]]:
    return [
        {"integration-name": service, "python-modules": [f"ometria_provider.{room}.{name}" for name in modules]}
        for service, modules in names.items()
    ]


def _field(label: str, kind: str, description: str, **schema: Any) -> dict[str, Any]:
    """Describe an extra. Left empty it means the hook's own default, so that there is no second copy to keep."""
    return {"label": label, "description": description, "schema": {"type": [kind, "null"], **schema}}


_TIMEOUT = _field("Time-out (seconds)", "number", "How long to wait for an answer. Left empty: 60.")


def _antavo_connection() -> dict[str, Any]:
    return {
        "connection-type": "antavo",
        "hook-name": "Antavo",
        "hook-class-name": "ometria_provider.hooks.antavo.AntavoHook",
        "ui-field-behaviour": {
            "hidden-fields": [],
            "relabeling": {"host": "Loyalty API URL", "login": "API key", "password": "API secret"},
            "placeholders": {"host": "https://api.st2.antavo.com"},
        },
        "conn-fields": {
            "read_api_url": _field(
                "Read API URL",
                "string",
                "Root of the Read API, without /v1. Left empty: https://read-api.<stack>.antavo.com of the host.",
            ),
            "credential_scope": _field(
                "Credential scope",
                "string",
                "What requests are signed for. Left empty: <stack>/api/antavo_request of the host.",
            ),
            "read_credential_scope": _field(
                "Credential scope of the Read API", "string", "Left empty: the same as the credential scope."
            ),
            "signing": _field(
                "Signing",
                "string",
                "escher signs each request (needed in production); none sends the API key alone. Left empty: escher.",
                enum=["escher", "none"],
            ),
            "requests_per_minute": _field(
                "Requests per minute",
                "number",
                "The account's limit: 1500 on a shared stack, 20000 on a dedicated one. Left empty: 1500.",
            ),
            "timeout": _TIMEOUT,
        },
    }


def _ometria_connection() -> dict[str, Any]:
    return {
        "connection-type": "ometria",
        "hook-name": "Ometria",
        "hook-class-name": "ometria_provider.hooks.ometria.OmetriaHook",
        "ui-field-behaviour": {
            "hidden-fields": ["login"],
            "relabeling": {"host": "API URL", "password": "API key"},
            "placeholders": {"host": "https://api.ometria.com"},
        },
        "conn-fields": {
            "push_requests_per_second": _field(
                "Pushes per second", "number", "The account's limit for pushes. Left empty: 8."
            ),
            "data_requests_per_second": _field(
                "Other requests per second", "number", "The account's limit for reading. Left empty: 4."
            ),
            "concurrency": _field("Concurrency", "integer", "Pushes in flight at once. Left empty: 8."),
            "timeout": _TIMEOUT,
            "settle_seconds": _field(
                "Settle (seconds)",
                "number",
                "How long after the last push, and after the last new error in its log, Ometria's queue counts as "
                "drained. Left empty: 10.",
            ),
            "verify_seconds": _field(
                "Verify (seconds)",
                "number",
                "How long a run may read records back; the next run goes on with the rest. Left empty: 300.",
            ),
        },
    }


def _option(description: str, example: str, *, sensitive: bool = False) -> dict[str, Any]:
    """Describe an option. The defaults depend on AIRFLOW_HOME and the dags folder; settings.py works them out."""
    option = {
        "description": description,
        "version_added": __version__,
        "type": "string",
        "example": example,
        "default": None,
    }
    return {**option, "sensitive": True} if sensitive else option


def _options() -> dict[str, Any]:
    return {
        "ledger_sql_alchemy_conn": _option(
            "SQLAlchemy URL of the ledger. Left empty: sqlite:///{AIRFLOW_HOME}/ometria_ledger.db. Use PostgreSQL "
            "when workers run on more than one machine.",
            "postgresql+psycopg://ometria:***@db/ometria_ledger",
            sensitive=True,
        ),
        "staging_path": _option(
            "Where a run keeps its Parquet files between tasks; every worker must see it. Left empty: "
            "file://{AIRFLOW_HOME}/ometria_staging.",
            "s3://aws_default@bucket/ometria_staging",
        ),
        "staging_keep": _option(
            "How many days a run's staging is kept: it holds members' data, and a task that is cleared needs it. Each "
            "run removes what is older of its mapping, `maintain_ledger` of all. Left empty: 3.",
            "3",
        ),
        "mappings_folder": _option(
            "Folder of the mapping files. Left empty: include/mappings beside the DAGs folder.",
            "/opt/airflow/include/mappings",
        ),
        "mappings_editable": _option(
            "Whether *Save* on the page of mappings writes their files, for who may edit the DAG. Left empty: False; "
            "the page gives the file to download. Leave it so where the files come from a repository.",
            "True",
        ),
        "workflows_folder": _option(
            "Folder of the workflow files. Left empty: include/workflows beside the DAGs folder.",
            "/opt/airflow/include/workflows",
        ),
        "expectations_folder": _option(
            "Folder of the Great Expectations suites. Left empty: include/expectations beside the DAGs folder.",
            "/opt/airflow/include/expectations",
        ),
        "alerts_conn_id": _option(
            "Connection of type apprise that alerts go through: Slack, e-mail and many other services. Left empty: "
            "nobody is told, and incidents are kept in the ledger only.",
            "ometria_alerts",
        ),
        "stale_after": _option(
            "After how many of its schedules without a green run a mapping counts as late. Left empty: 3.", "3"
        ),
        "ask_for_approval": _option(
            "Whether a run may wait at its gate for a person (`approve` of a mapping file): True or False. False: "
            "nobody is there to ask, and such a run is halted at once. Left empty: True, and False in `make run`.",
            "False",
        ),
    }
