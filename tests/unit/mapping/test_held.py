from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ometria_provider.delivery.consent import splice
from ometria_provider.mapping.customers import Projection
from ometria_provider.mapping.files import load_mapping
from ometria_provider.mapping.held import held_records, refusals
from ometria_provider.mapping.model import Mapping
from ometria_provider.mapping.records import map_customers
from ometria_provider.sandbox.contacts import merge
from ometria_provider.sandbox.members import Generator

FOLDER = Path(__file__).parents[3] / "include" / "mappings"


def mapping_of(folder: Path, text: str) -> Mapping:
    path = folder / "members.yaml"
    path.write_text(text)
    return load_mapping(path)


@pytest.mark.parametrize("name", ["customers", "customers_v2"])
def test_held_contacts_of_a_shipped_mapping_make_the_records_that_were_sent(name: str) -> None:
    mapping, generator = load_mapping(FOLDER / f"{name}.yaml"), Generator(seed=3, count=500)
    projection = Projection(mapping)
    rows = [projection.project(generator.member(index)) for index in range(500)]
    mapped = map_customers(mapping, rows, today=datetime.date(2026, 1, 15))
    groups = mapped.consents or [None] * 500
    sent = [(body, group, row) for row, (body, group) in enumerate(zip(mapped.bodies, groups, strict=True)) if body]
    contacts = [merge(None, msgspec.json.decode(splice(body, group))) for body, group, _ in sent]
    held = held_records(mapping, contacts)
    assert held.bodies == [body for body, _, _ in sent]
    assert held.consents == [group for _, group, _ in sent]
    assert (held.filled == mapped.filled[[row for _, _, row in sent]]).all()


def test_held_contact_with_another_value_makes_another_record_and_what_is_not_mapped_none(tmp_path: Path) -> None:
    mapping = mapping_of(
        tmp_path,
        "mode: v2\nlist: 1\nfields:\n  - {loyalty: first_name, remote: firstname}\n"
        "  - {loyalty: score, remote: points}\n",
    )
    contact: dict[str, Any] = {"id": "a", "email": "a@example.com", "firstname": "Ann", "properties": {"points": 5}}
    others = [
        contact | {"lastname": "Lee", "properties": {"points": 5.0, "shoe_size": 38}},
        contact | {"firstname": "Bea"},
        contact | {"properties": None},
        contact | {"properties": {"points": {"odd": 1}}},
    ]
    first, same, *rest = held_records(mapping, [contact, *others]).bodies
    assert same == first
    assert first not in rest
    assert len(set(rest)) == 3


def test_held_contacts_of_a_mapping_without_consent_have_no_group(tmp_path: Path) -> None:
    mapping = mapping_of(tmp_path, "list: 1\nfields: []\n")
    held = held_records(mapping, [{"id": "a", "marketing_optin": "EXPLICITLY_OPTEDOUT"}])
    assert held.consents == [None]


def test_held_records_of_nobody_are_none(tmp_path: Path) -> None:
    held = held_records(mapping_of(tmp_path, "list: 1\nfields: []\n"), [])
    assert (held.bodies, held.consents, held.filled.shape) == ([], [], (0, 3))


@pytest.mark.parametrize(
    ("contact", "found"),
    [
        ({}, (False, False)),
        ({"marketing_optin": "EXPLICITLY_OPTEDIN"}, (False, False)),
        ({"marketing_optin": None, "channels": None}, (False, False)),
        ({"marketing_optin": "explicitly_optedout"}, (True, False)),
        ({"channels": {"sms": {"allow_marketing": False}}}, (False, True)),
        ({"channels": {"sms": {"allow_marketing": True, "allow_transactional": False}}}, (False, True)),
        ({"channels": {"sms": "odd"}}, (False, False)),
    ],
    ids=repr,
)
def test_refusals_of_a_contact_are_seen_whatever_is_mapped(contact: dict[str, Any], found: tuple[bool, bool]) -> None:
    assert refusals(contact) == found
