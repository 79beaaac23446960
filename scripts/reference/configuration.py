"""docs/reference/configuration.md: section `[ometria]` of Airflow's configuration."""

from __future__ import annotations

from ometria_provider.provider_info import get_provider_info

from reference import markdown


def page() -> str:
    """Return the page."""
    options = get_provider_info()["config"]["ometria"]["options"]
    rows = [
        (markdown.code(name), markdown.code(variable(name)), option["description"], markdown.code(option["example"]))
        for name, option in options.items()
    ]
    return markdown.page(
        "Configuration",
        "plugins/ometria_provider/provider_info.py",
        "Section `[ometria]` of airflow.cfg, or environment variables; a variable wins. `make run` and `make up` set "
        "the three folders to those of the checkout, unless you do.",
        markdown.table(("option", "variable", "what it is", "example"), rows),
    )


def variable(option: str) -> str:
    """Return the environment variable of an option."""
    return f"AIRFLOW__OMETRIA__{option.upper()}"
