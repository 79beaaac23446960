import subprocess
import sys

import pytest
from launcher.services import AT_HAND, _beginning

RUN = "runpy.run_module('airflow', None, '__main__', True)"


def test_scheduler_of_up_has_at_hand_what_tasks_import_and_nothing_that_somebody_edits() -> None:
    option, code = _beginning("scheduler", "up")
    assert code.endswith(RUN)
    look = code.replace(RUN, "import sys; print(*sys.modules)")
    done = subprocess.run([sys.executable, option, look], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert loaded >= {*AT_HAND, "great_expectations", "pandas"}
    ours = {name for name in loaded if name.startswith("ometria_provider.")}
    assert ours == {f"ometria_provider.{name}" for name in ("provider_info", "validation", "validation.quiet")}


@pytest.mark.parametrize("part", ["scheduler", "dag-processor", "triggerer"])
def test_parts_of_run_begin_at_once(part: str) -> None:
    """A single run is over before what all its tasks import had paid off."""
    assert _beginning(part, "run") == ("-m", "airflow")
