from __future__ import annotations

import os
from pathlib import Path

import pytest
from ometria_provider.exceptions import Misconfigured
from ometria_provider.mapping.saving import ChangedMeanwhile, digest_of, save_text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "customers.yaml"
    path.write_bytes(b"list: 1\r\n")
    path.chmod(0o640)
    return path


def test_save_writes_the_text_and_returns_its_digest(path: Path) -> None:
    digest = save_text(path, "\ufefflist: 2\r\n", over=digest_of(path.read_bytes()))
    assert path.read_bytes() == "\ufefflist: 2\r\n".encode()
    assert digest == digest_of(path.read_bytes())
    assert path.stat().st_mode & 0o777 == 0o640
    assert [file.name for file in path.parent.iterdir()] == ["customers.yaml"]


def test_save_over_a_file_that_changed_meanwhile_writes_nothing(path: Path) -> None:
    digest = digest_of(path.read_bytes())
    path.write_bytes(b"list: 3\n")
    with pytest.raises(ChangedMeanwhile, match="changed meanwhile: nothing was saved"):
        save_text(path, "list: 2\n", over=digest)
    assert path.read_bytes() == b"list: 3\n"


def test_save_of_a_removed_file_writes_nothing(path: Path) -> None:
    digest = digest_of(path.read_bytes())
    path.unlink()
    with pytest.raises(ChangedMeanwhile, match="removed meanwhile"):
        save_text(path, "list: 2\n", over=digest)
    assert not path.exists()


def test_save_of_a_new_file_does_not_write_over_one(path: Path) -> None:
    with pytest.raises(ChangedMeanwhile, match="is there already"):
        save_text(path, "list: 2\n", over=None)
    new = path.with_name("new.yaml")
    save_text(new, "list: 2\n", over=None)
    assert new.read_text() == "list: 2\n"


def test_save_through_a_link_writes_what_it_leads_to(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    save_text(link, "list: 2\n", over=digest_of(path.read_bytes()))
    assert link.is_symlink()
    assert path.read_text() == "list: 2\n"


def test_save_that_fails_on_the_way_leaves_the_file_and_nothing_beside_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Misconfigured, match="No space left on device"):
        save_text(path, "list: 2\n", over=digest_of(path.read_bytes()))
    assert path.read_bytes() == b"list: 1\r\n"
    assert [file.name for file in path.parent.iterdir()] == ["customers.yaml"]


def test_save_into_no_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be written"):
        save_text(tmp_path / "nowhere" / "x.yaml", "list: 2\n", over=None)
