"""The launcher is no installed package: `make run` starts it from scripts/."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))
