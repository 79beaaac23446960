"""Imports point one way (design.md "House plan"), wherever in a module they stand."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PACKAGE = CHECKOUT / "plugins" / "ometria_provider"
NAME = "ometria_provider"
PURE = ("mapping", "workflows", "validation", "delivery")

#: What each room may import of ours. A module that lies beside the rooms goes by its own name.
ROOMS: dict[str, set[str]] = {
    "exceptions": set(),
    "settings": set(),
    "addresses": set(),
    "text": set(),
    "mapping": {"dagdefaults", "exceptions"},
    "workflows": {"mapping", "exceptions"},
    "validation": {"exceptions"},
    "delivery": {"exceptions"},
    "ledger": {"__init__", "exceptions"},
    "origin": {"dagdefaults", "ledger"},
    "staging": {"exceptions"},
    "hooks": {"exceptions"},
    "sandbox": set(),
    "report_text": {"text", "report"},
    "report": {"ledger", "origin", "text"},
    "attention": {"mapping", "workflows", "ledger", "dagdefaults", "settings", "text", "exceptions"},
    "metrics": {"ledger", "report", "campaign_report"},
    "notifications": {
        *("addresses", "attention", "ledger", "hooks", "dagdefaults", "settings", "text", "exceptions"),
    },
    "leftover": {"ledger", "origin", "staging", "exceptions"},
    "campaign_report": {"ledger", "report", "report_text", "text"},
    "operators": {
        *PURE,
        *("ledger", "staging", "hooks", "exceptions", "settings", "report", "report_text", "campaign_report", "text"),
        *("dagdefaults", "notifications", "attention", "metrics"),
        "leftover",
        "addresses",
        "origin",
    },
    "triggers": {"ledger", "exceptions", "settings"},
    "web": {
        *PURE,
        *("ledger", "staging", "hooks", "exceptions", "settings", "operators"),
        *(
            "report",
            "report_text",
            "campaign_report",
            "text",
            "dagdefaults",
            "__init__",
            "attention",
            "leftover",
            "addresses",
            "origin",
        ),
    },
    "dagdefaults": set(),
    "dagdoc": {"mapping", "workflows"},
    "factory": {"mapping", "operators", "notifications", "dagdefaults", "dagdoc", "settings"},
    "campaign_factory": {"workflows", "operators", "triggers", "dagdefaults", "dagdoc", "settings"},
    "upkeep_factory": {"operators", "dagdefaults", "settings"},
    "cli": {
        *PURE,
        *("ledger", "staging", "hooks", "sandbox", "exceptions", "settings", "operators"),
        *("report", "report_text", "text", "dagdefaults", "attention", "web"),
        *("leftover", "__init__"),
    },
    "provider_info": {"__init__"},
}

#: Libraries that a room keeps out.
KEPT_OUT: dict[str, set[str]] = {
    **{room: {"airflow", "sqlalchemy", "requests", "httpx", "aiohttp"} for room in PURE},
    "hooks": {"pandas", "pyarrow", "great_expectations", "sqlalchemy"},
    "ledger": {"airflow", "pandas", "requests", "great_expectations"},
    "sandbox": {"airflow", "pandas", "sqlalchemy"},
    "exceptions": {"airflow", "sqlalchemy"},
}

#: pure modules reach the ledger's and the hooks' types through protocols only; nothing is exempt. It may only shrink.
EXEMPT: set[tuple[str, str]] = set()


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, at its top, in functions and for types alike."""
    package = (NAME, *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            # `from ometria_provider import settings` imports a module, `from … import __version__` none.
            yield from (f"{module}.{alias.name}" if module == NAME else module for alias in node.names)


def ours(module: str) -> str | None:
    """Return the room that an import leads to, or None when it is not ours."""
    parts = module.split(".")
    if parts[0] != NAME:
        return None
    return parts[1] if len(parts) > 1 and not parts[1].startswith("__") else "__init__"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_module_imports_only_the_rooms_below_it(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        assert not [module for module in imports(path) if ours(module)]
        return
    assert room in ROOMS, f"{room} is new: say in ROOMS what it may import"
    allowed = ROOMS[room] | {room} | ({"__init__"} if room == "hooks" else set())
    wrong = {module for module in imports(path) if (to := ours(module)) and to not in allowed}
    assert {entry for entry in ((name_of(path), module) for module in wrong) if entry not in EXEMPT} == set()


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_module_keeps_libraries_out(path: Path) -> None:
    kept_out = KEPT_OUT.get(room_of(path), set())
    assert {module.partition(".")[0] for module in imports(path)} & kept_out == set()


def needs(path: Path) -> Iterator[str]:
    """Yield the modules of ours that a file imports when it runs; what only types name is none of them."""
    tree = ast.parse(path.read_text())
    for node in [*ast.walk(tree)]:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(NAME):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield str(node.module)


def test_no_modules_need_each_other_in_a_circle() -> None:
    names = {".".join((NAME, *path.relative_to(PACKAGE).with_suffix("").parts)): path for path in modules()}
    TopologicalSorter({name: names.keys() & set(needs(path)) for name, path in names.items()}).prepare()


def test_rooms_are_all_there() -> None:
    assert {room_of(path) for path in modules()} - {"__init__"} == set(ROOMS)


def test_exemptions_are_all_needed() -> None:
    found = {(name_of(path), module) for path in modules() for module in imports(path)}
    assert found >= EXEMPT


@pytest.mark.parametrize("path", sorted((CHECKOUT / "dags").glob("*.py")), ids=lambda path: path.name)
def test_dag_file_is_thin(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) < 60
    reached = {room for module in imports_of_dag(path) if (room := ours(module))}
    assert reached <= {"factory", "campaign_factory", "upkeep_factory"}


def imports_of_dag(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def loaded_by(statement: str) -> set[str]:
    """Return the top-level packages that a fresh process has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split()[-2000:])


@pytest.mark.parametrize(
    ("module", "not_loaded"),
    [
        ("mapping.files", {"airflow", "sqlalchemy", "pandas", "requests"}),
        ("workflows.files", {"airflow", "sqlalchemy", "pandas", "requests"}),
        ("validation.run", {"airflow", "sqlalchemy", "pandas", "great_expectations"}),
        ("delivery.compare", {"airflow", "sqlalchemy", "pandas"}),
        ("sandbox.server", {"airflow", "sqlalchemy", "pandas", "pydantic"}),
        ("triggers.inbox", {"pandas", "great_expectations", "fastapi", "alembic"}),
        ("ledger.runs", {"airflow", "pandas", "great_expectations", "alembic"}),
        ("cli", {"airflow", "sqlalchemy", "pandas", "great_expectations", "requests"}),
        (
            "campaign_factory",
            {"pandas", "pyarrow", "great_expectations", "requests", "escherauth", "phonenumbers", "alembic", "fastapi"},
        ),
        ("factory", {"pandas", "pyarrow", "great_expectations", "requests", "escherauth", "phonenumbers", "alembic"}),
    ],
)
def test_import_in_a_fresh_process_does_not_load(module: str, not_loaded: set[str]) -> None:
    assert loaded_by(f"import {NAME}.{module}") & not_loaded == set()
