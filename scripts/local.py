"""Run this checkout on this machine: `local.py run` one mapping or workflow, `local.py up` everything until Ctrl-C.

`make run` and `make up` call it. Exit codes: 0 the run is green, 1 it is red or something broke, 2 used wrongly.
"""

from __future__ import annotations

import sys
from pathlib import Path

from launcher.command import main

if __name__ == "__main__":
    sys.exit(main(checkout=Path(__file__).resolve().parent.parent))
