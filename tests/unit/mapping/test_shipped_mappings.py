from __future__ import annotations

import collections
import datetime
import json
from pathlib import Path

import jsonschema
import msgspec
import pytest
from ometria_provider.mapping.customers import Projection
from ometria_provider.mapping.files import check_folder, load_mapping, schema_text
from ometria_provider.mapping.records import map_customers
from ometria_provider.mapping.source import read_source
from ometria_provider.sandbox.members import Generator

FOLDER = Path(__file__).parents[3] / "include" / "mappings"
FILES = sorted(FOLDER.glob("*.yaml"))


def test_schema_on_disk_is_the_models():
    assert (FOLDER / "mapping.schema.json").read_text(encoding="utf-8") == schema_text(), "write it again: make docs"


def test_shipped_mappings_are_sound_and_own_a_collection_each():
    mappings, problems = check_folder(FOLDER)
    assert problems == []
    assert {(mapping.name, mapping.mode, mapping.collection) for mapping in mappings} == {
        ("customers", "legacy", "customers"),
        ("customers_v2", "v2", "customers_v2"),
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_shipped_mapping_fits_the_schema_that_its_first_line_names(path):
    assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=mapping.schema.json\n")
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(read_source(path).data, schema)


@pytest.mark.parametrize(
    "wrong",
    [
        {"list": "1"},
        {"listt": 1},
        {"where": {"status": {"inn": []}}},
        {"fields": [{"loyalty": "a", "remote": "b", "x": 1}]},
        {"fields": [{"remote": "b"}]},
        {"fields": [{"loyalty": "a", "remote": "b", "transform": ["stripp"]}]},
        {"verify": "on"},
        {"limits": {"max_rejected_share": 2}},
    ],
    ids=repr,
)
def test_schema_refuses_what_the_check_refuses(wrong):
    schema = json.loads(schema_text())
    jsonschema.validate({"list": 1, "fields": [], "where": {"country": "GB"}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"list": 1, "fields": []} | wrong, schema)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_shipped_mapping_rejects_well_under_one_in_a_hundred_made_up_members(path):
    mapping, generator = load_mapping(path), Generator(seed=1, count=4000)
    projection = Projection(mapping)
    rows = [projection.project(generator.member(index)) for index in range(4000)]
    mapped = map_customers(mapping, rows, today=datetime.date(2026, 1, 15))
    assert 0 < collections.Counter(mapped.outcomes)["rejected"] < 0.006 * 4000
    assert mapped.filled.any(axis=0).all(), "a row that no member fills"
    assert not any(mapped.filled.any(axis=1) & [outcome != "record" for outcome in mapped.outcomes])
    bodies = [msgspec.json.encode(record) for record in mapped.records if record]
    assert max(map(len, bodies)) < 2000
    assert not any(mark in body for body in bodies for mark in (b"null", b"NaN", b'"None"', b'""', b".0,"))
