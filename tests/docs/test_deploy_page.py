"""What the page on deployments says of a dead account follows from the code."""

from __future__ import annotations

import re
from pathlib import Path

from ometria_provider.dagdefaults import DEFAULT_ARGS
from ometria_provider.hooks.base import READ_TIMEOUT
from ometria_provider.hooks.pace import ATTEMPTS, FIRST_WAIT, LONGEST_WAIT


def test_deploy_page_tells_how_long_a_dead_account_holds_a_place(root: Path) -> None:
    page = " ".join((root / "docs" / "deploy.md").read_text(encoding="utf-8").split())
    found = re.search(
        r"asks (\w+) times, which takes (\d+) s, and Airflow tries it (\d+) times.*?: (\w+) minutes", page
    )
    assert found
    waited = sum(min(FIRST_WAIT * 2.0**number, LONGEST_WAIT) for number in range(ATTEMPTS - 1))
    tries = DEFAULT_ARGS["retries"] + 1
    words = {2: "two", 6: "six"}
    said = (words[ATTEMPTS], f"{waited:.0f}", str(tries), words[round(waited * tries / 60)])
    assert found.groups() == said
    silent = re.search(r"`timeout` \((\d+) s\) besides: ([\d.]+) minutes for each try", page)
    assert silent
    assert silent.groups() == (f"{READ_TIMEOUT:.0f}", f"{(ATTEMPTS * READ_TIMEOUT + waited) / 60:.1f}")
