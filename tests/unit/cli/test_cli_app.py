import json
import subprocess
import sys

import pytest

HEAVY = (
    "airflow",
    "pandas",
    "great_expectations",
    "sqlalchemy",
    "sqlalchemy.dialects.postgresql",
    "numpy",
    "pyarrow",
    "requests",
    "ometria_provider.sandbox.process",
)


def imported_by(*arguments: str) -> set[str]:
    """Return the heavy packages that a fresh process imported for one command."""
    script = (
        "import json, sys\n"
        "from ometria_provider.cli import main\n"
        f"sys.argv = ['ometria-sync', *{list(arguments)!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["show", "--help"], ["mappings", "check", "--help"], ["workflows", "preview", "--help"]],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert imported_by(*arguments) == set()


def test_ledger_commands_import_no_airflow(ledger) -> None:
    assert imported_by("history") == {"sqlalchemy"}
    assert imported_by("alerts") == {"sqlalchemy"}


@pytest.mark.parametrize("files", ["mappings", "workflows"])
def test_checks_of_files_import_no_airflow(folder, files: str) -> None:
    assert imported_by(files, "check") & {"airflow", "great_expectations", "sqlalchemy"} == set()


def test_help_names_every_command_and_the_exit_codes(command) -> None:
    result = command("--help")
    assert result.exit_code == 0
    for name in (
        "mappings",
        "workflows",
        "plan",
        "lists",
        "doctor",
        "alerts",
        "history",
        "show",
        "rejections",
        "trace",
        "sandbox",
        "ledger",
    ):
        assert f"\n  {name} " in result.stdout
    assert "2 used wrongly" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["show"],
        ["history", "--state", "nope"],
        ["history", "--limit", "0"],
        ["history", "--nope"],
        ["history", "-o", "xml"],
        ["mappings", "fields", "--mode", "v3"],
        ["ledger", "prune", "--keep-days", "0"],
        ["retry"],
        ["sandbox", "--unknown-fields", "perhaps"],
    ],
    ids=" ".join,
)
def test_misuse_exits_with_2(command, ledger, arguments: list[str]) -> None:
    result = command(*arguments)
    assert result.exit_code == 2
    assert "Usage" in result.stderr
