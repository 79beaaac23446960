"""Help for tests with a real Airflow."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

#: They take longest: begun first, they let both workers of `make test` end at about the same time.
LONGEST = ("test_compose.py", "test_pages.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; a file's tests stay together (``--dist loadfile``)."""
    items.sort(key=lambda item: item.path.name not in LONGEST)
