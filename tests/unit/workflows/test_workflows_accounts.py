"""Every workflow file belongs to one Antavo account, broken ones too."""

import json
from pathlib import Path
from typing import Any

import pytest
from ometria_provider.exceptions import Misconfigured
from ometria_provider.workflows.accounts import load_accounts


def write(folder: Path, name: str, **keys: Any) -> None:
    least = {"trigger": {"event": "reward"}, "action": {"event_type": "claimed"}}
    (folder / f"{name}.yaml").write_text(json.dumps(least | keys))


def test_accounts_gather_their_workflows(tmp_path: Path) -> None:
    write(tmp_path, "thanks")
    write(tmp_path, "survey", connections={"antavo": "antavo_uk"})
    found = load_accounts(tmp_path)
    assert {account: list(one.workflows) for account, one in found.items()} == {
        "antavo_default": ["thanks"],
        "antavo_uk": ["survey"],
    }


def test_broken_file_is_its_accounts_and_takes_no_other_with_it(tmp_path: Path) -> None:
    write(tmp_path, "thanks")
    write(tmp_path, "bad", connections={"antavo": "antavo_uk"}, nonsense=1)
    found = load_accounts(tmp_path)
    assert (list(found["antavo_default"].workflows), found["antavo_default"].broken) == (["thanks"], {})
    assert "nonsense" in found["antavo_uk"].broken["bad.yaml"]
    assert found["antavo_default"].unreadable == {"bad"}


@pytest.mark.parametrize("text", ["{", "- a", "", "connections: nobody", "connections: {antavo: 7}"])
def test_file_that_names_no_account_is_the_default_ones(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    assert list(load_accounts(tmp_path)["antavo_default"].broken) == ["bad.yaml"]


def test_folder_that_is_not_there_is_misconfigured(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="does not exist"):
        load_accounts(tmp_path / "none")
