"""Run the tests that prove what a fault does, and write docs/reliability.md from what they saw.

`make prove`. The tests are those that use the fixture `proof`; with PROOFS set they take down what they saw.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from reference import markdown

CHECKOUT = Path(__file__).resolve().parents[1]
PAGE = CHECKOUT / "docs" / "reliability.md"


def main() -> int:
    """Return pytest's exit code; the page is written only when every test passed."""
    with tempfile.TemporaryDirectory() as folder:
        proofs = Path(folder) / "proofs"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-m",
            "proof",
            "-p",
            "no:warnings",
            *sys.argv[1:],
            "tests/integration",
        ]
        code = subprocess.run(command, cwd=CHECKOUT, env={**os.environ, "PROOFS": str(proofs)}, check=False).returncode
        if code == 0:
            PAGE.write_text(page([json.loads(line) for line in proofs.read_text().splitlines()]), encoding="utf-8")
            print(f"{PAGE.relative_to(CHECKOUT)} written")
    return code


def page(proofs: list[dict[str, str]]) -> str:
    """Return the page; a fault for each line, in the tests' order."""
    rows = [
        (proof["fault"], proof["side"], proof["seen"], markdown.code(proof["test"].removeprefix("tests/integration/")))
        for proof in sorted(proofs, key=lambda proof: proof["test"])
    ]
    return (
        "# Reliability\n\n"
        "Written by `make prove` from what its tests saw; a test compares this list with the tests that there are.\n\n"
        "After every fault the same is asked: the books balance, nobody is lost (members stored at the receiving "
        "side), and no record that Ometria acknowledged is sent again. Records that came twice were in flight: the "
        "server had stored them, and no answer said so; they are keyed upserts, so coming twice changes nothing.\n\n"
        "Counts are the sandbox's own, as it received them; the tests lie in `tests/integration/`.\n\n"
        + markdown.table(("fault", "side", "seen at the receiving side", "test"), rows)
        + "\n"
    )


if __name__ == "__main__":
    sys.exit(main())
