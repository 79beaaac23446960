"""What is said while detail calls go on. Whole runs: tests/integration/test_details.py."""

from __future__ import annotations

from ometria_provider.operators.details import progress


def test_progress_says_how_long_the_rest_takes() -> None:
    assert progress(15_000, 60_000, 600.0) == (
        "Asked for the details of 15,000 of 60,000 customers, 25.0 a second; about 30 min 0 s remain"
    )
    assert progress(60_000, 60_000, 2_400.0).endswith("60,000 of 60,000 customers, 25.0 a second")
    assert "remain" not in progress(0, 10, 0.0)
