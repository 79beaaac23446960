from __future__ import annotations

import pytest
from ometria_provider.mapping.catalogue import FieldProblem
from ometria_provider.mapping.fields import (
    CONSENT,
    LOYALTY_FIELDS,
    REMOTE_FIELDS,
    check_loyalty,
    check_remote,
    loyalty_field,
    remote_type,
)


@pytest.mark.parametrize("field", LOYALTY_FIELDS, ids=lambda field: field.name)
def test_loyalty_field_of_the_catalogue_is_found_by_its_own_name(field):
    name = field.name.replace("<", "").replace(">", "")
    assert loyalty_field(name) == field
    assert field.meaning


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("frist_name", "did you mean `first_name`?"),
        ("newsletter", "`properties.newsletter`"),
        ("_id", "write `id`"),
        ("handler", "write `nickname`"),
        ("tiers.basic.nme", "did you mean `tiers.basic.name`?"),
        ("tier.basic.name", "did you mean `tiers.basic.name`?"),
        ("tiers.basic", "after the id comes one of"),
        ("tiers.basic.history", "after the id comes one of"),
        ("accounts.x.spendible", "did you mean `accounts.x.spendable`?"),
        ("properties", "write `properties.<attribute>`"),
        ("external_ids.a.b", "write `external_ids.<field>`"),
        ("extensions.points", "write `extensions.expiring_points.<member>`"),
        ("extensions.expiring_points", "write `extensions.expiring_points.<member>`"),
    ],
)
def test_loyalty_field_that_is_unknown_says_what_to_write(name, hint):
    with pytest.raises(FieldProblem) as caught:
        loyalty_field(name)
    assert hint in caught.value.hint


@pytest.mark.parametrize("name", ["extensions.expiring_points.next", "extensions.expiring_points.history.0.date"])
def test_loyalty_field_below_expiring_points_is_whatever_antavo_holds(name):
    assert loyalty_field(name).type == "any"


@pytest.mark.parametrize(
    "name",
    [
        "tiers.a.name",
        "tiers.a.next.points",
        "accounts.a.earned",
        "accounts.a.spendable",
        "extensions.expiring_points.total",
        "extensions.expiring_points.history.0.date",
    ],
)
def test_check_loyalty_of_a_v2_field_in_legacy_says_to_use_v2(name):
    assert check_loyalty(name, "v2")
    with pytest.raises(FieldProblem) as caught:
        check_loyalty(name, "legacy")
    assert "mode: v2" in caught.value.hint


@pytest.mark.parametrize("name", ["score", "spendable", "external_ids.pos", "groups", "properties.a.b"])
def test_check_loyalty_of_profile_and_points_in_legacy_passes(name):
    assert check_loyalty(name, "legacy")


@pytest.mark.parametrize(
    ("remote", "message"),
    [
        ("@merge", "is a directive"),
        ("@add_to_lists", "is a directive"),
        ("next tier", "has no spaces"),
        ("tab\there", "has no spaces"),
        ("zero\u200bwidth", "has no spaces"),
        (" ", "empty"),
        ("properties.x", "`properties` is no remote field"),
        ("channels.email", "no field of a contact"),
        ("channels.sms", "no field of a contact"),
        ("extra_identifiers", "needs its name"),
    ],
)
def test_check_remote_that_cannot_be_sent_is_refused(remote, message):
    with pytest.raises(FieldProblem, match=message):
        check_remote(remote)


@pytest.mark.parametrize(
    "remote", [*CONSENT, "mm:share_link", "next_tier", "extra_identifiers.pos", "firstname", "Größe"]
)
def test_check_remote_of_a_field_id_passes(remote):
    check_remote(remote)


def test_remote_type_tells_built_in_fields_from_custom_ones():
    assert remote_type("country_id") == "country"
    assert remote_type("extra_identifiers.pos") == "text"
    assert remote_type("loyalty_points") is None
    assert all(remote_type(field.name.replace("<name>", "x")) for field in REMOTE_FIELDS)
