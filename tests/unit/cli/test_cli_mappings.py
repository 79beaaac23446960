import json
from pathlib import Path

import pytest

BROKEN = "list: 4821\nfields:\n  - {loyalty: frist_name, remote: firstname}\n"


def test_check_of_good_files_is_fine(command, folder: Path) -> None:
    result = command("mappings", "check")
    assert result.exit_code == 0
    assert result.stdout == f"1 mapping file in {folder}: no errors.\n"


def test_check_of_a_broken_file_shows_place_caret_and_suggestion(command, folder: Path) -> None:
    (folder / "broken.yaml").write_text(BROKEN)
    result = command("mappings", "check")
    assert result.exit_code == 1
    assert "broken.yaml" in result.stdout
    assert "^" in result.stdout
    assert "first_name" in result.stdout
    assert "2 mapping files" in result.stdout
    assert "1 error" in result.stdout


def test_check_of_names_that_make_one_dag_id_is_an_error_that_names_both(command, folder: Path) -> None:
    good = (folder / "customers.yaml").read_text()
    for name in ("a b", "a_b"):
        (folder / f"{name}.yaml").write_text(good)
    result = command("mappings", "check")
    assert result.exit_code == 1
    assert "`a b.yaml` and `a_b.yaml` make the same DAG id" in result.stdout


def test_check_as_json_gives_file_line_and_column(command, folder: Path) -> None:
    (folder / "broken.yaml").write_text(BROKEN)
    result = command("mappings", "check", "-o", "json")
    data = json.loads(result.stdout)
    assert result.exit_code == 1
    assert data["mappings"] == ["customers"]
    (problem,) = data["problems"]
    assert (Path(problem["file"]).name, problem["line"]) == ("broken.yaml", 3)
    assert problem["column"] > 1


def test_check_of_another_folder_takes_its_name(command, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "broken.yaml").write_text(BROKEN)
    assert command("mappings", "check", other).exit_code == 1
    assert command("mappings", "check").exit_code == 0


def test_check_of_a_folder_that_is_none_is_misuse(command, folder: Path) -> None:
    result = command("mappings", "check", folder / "customers.yaml")
    assert result.exit_code == 2
    assert "is no folder" in result.stderr


def test_check_without_the_configured_folder_is_wrong(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__OMETRIA__MAPPINGS_FOLDER", str(tmp_path / "nowhere"))
    result = command("mappings", "check")
    assert result.exit_code == 1
    assert "mappings_folder" in result.stderr


def test_fields_lists_both_sides_with_type_and_meaning(command) -> None:
    result = command("mappings", "fields")
    assert result.exit_code == 0
    assert "tiers.<structure>.next.name" in result.stdout
    assert "date_of_birth" in result.stdout


def test_fields_of_legacy_mode_leaves_out_what_it_cannot_map(command) -> None:
    names = [
        field["name"]
        for field in json.loads(command("mappings", "fields", "--mode", "legacy", "-o", "json").stdout)["loyalty"]
    ]
    assert "first_name" in names
    assert not any(name.startswith(("tiers.", "accounts.")) for name in names)
