"""docs/reliability.md lists every test that proves something, and no other."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_page_lists_the_tests_that_there_are(root: Path) -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-m", "proof", "tests/integration"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()
    tests = {line.removeprefix("tests/integration/") for line in listed if "::" in line}
    page = (root / "docs" / "reliability.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"`([^`]+::[^`]+)`", page))
    assert len(tests) > 30
    assert shown == tests, "run `make prove`"
