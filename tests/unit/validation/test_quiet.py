"""The late import: what stays out, and that it is there when asked for."""

import subprocess
import sys

IMPORT = "from ometria_provider.validation.quiet import import_great_expectations as get; get();"


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)


def test_import_at_debug_level_is_silent_and_leaves_scipy_and_charts_out():
    done = run(
        f"import logging, sys; logging.basicConfig(level=logging.DEBUG); {IMPORT}"
        "loaded = [name for name in sys.modules if name.startswith(('scipy.stats.', 'altair.'))];"
        "assert loaded == [], loaded;"
        "assert not any(type(f).__name__ == '_PutOff' for f in sys.meta_path);"
        "from scipy import stats; assert round(stats.norm.cdf(0), 3) == 0.5;"
        "import altair; assert altair.Chart"
    )
    assert done.stderr == ""
    assert done.stdout == ""
