"""The generated pages say what the code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_reference_pages_written_anew_are_the_same(root: Path) -> None:
    command = [sys.executable, str(root / "scripts" / "docs.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run `make docs`:\n{done.stdout}{done.stderr}"
    assert "up to date" in done.stdout
