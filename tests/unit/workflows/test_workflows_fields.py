from __future__ import annotations

import pytest
from ometria_provider.mapping.catalogue import FieldProblem
from ometria_provider.mapping.fields import LOYALTY_FIELDS
from ometria_provider.workflows.fields import CATALOGUES, workflow_field

NAMES = [f"{root}.{field.name}" for root, catalogue in CATALOGUES.items() for field in catalogue.fields]


@pytest.mark.parametrize("name", NAMES)
def test_workflow_field_of_the_catalogue_is_found_by_its_own_name(name: str) -> None:
    assert name.endswith(workflow_field(name.replace("<", "").replace(">", "")).name)


def test_workflow_fields_of_customers_are_those_of_v2_mappings() -> None:
    assert CATALOGUES["customer"].fields == LOYALTY_FIELDS


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("customer.frist_name", "did you mean `customer.first_name`?"),
        ("customer.newsletter", "`customer.properties.newsletter`"),
        ("customer.tier.basic.name", "did you mean `customer.tiers.basic.name`?"),
        ("customer.handler", "write `customer.nickname`"),
        ("event.pionts", "did you mean `event.points`?"),
        ("event.reward", "`event.properties.reward`"),
        ("event.date", "write `event.timestamp`"),
        ("event.properties", "write `event.properties.<property>`"),
        ("reward.discription", "did you mean `reward.description`?"),
        ("reward.title", "write `reward.name`"),
        ("first_name", "did you mean `customer.first_name`?"),
        ("points", "did you mean `event.points`?"),
        ("rewrad.name", "did you mean `reward.name`?"),
        ("event", "write one such as `event.id`"),
        ("nonsense", "workflows fields"),
        ("event..id", "separate with dots"),
    ],
)
def test_workflow_field_that_there_is_not_is_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(FieldProblem) as caught:
        workflow_field(name)
    assert hint in caught.value.hint
