"""Help for tests with a real Airflow."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

#: They take longest: begun first, in this order, they let both workers of `make test` end at about the same time.
LONGEST = ("test_kill_and_clear.py", "test_compose.py", "test_pages.py", "test_editor.py", "test_local_launcher.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; a file's tests stay together (``--dist loadfile``)."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
