"""Limits: which, by how much, and what to write to go on."""

from dataclasses import replace

import pytest
from ometria_provider.delivery.limits import Counts, breaches
from ometria_provider.mapping.model import Limits

CALM = Counts(read=10_000, rejected=0, remembered=0, changed=0, last_read=10_000)


def test_breaches_of_a_calm_run_are_none() -> None:
    assert breaches(CALM, Limits()) == []


@pytest.mark.parametrize(
    ("counts", "limits", "name", "share"),
    [
        (replace(CALM, rejected=101), Limits(), "max_rejected_share", 0.02),
        (replace(CALM, remembered=1_001), Limits(), "max_outstanding_share", 0.11),
        (replace(CALM, changed=600), Limits(max_changed_share=0.05), "max_changed_share", 0.07),
        (replace(CALM, cleared={"firstname": 2_001}), Limits(), "max_cleared_share", 0.21),
        (replace(CALM, departed=501), Limits(), "max_departed_share", 0.06),
        (replace(CALM, departed=501, read=9_000, known=10_000), Limits(), "max_departed_share", 0.06),
        (replace(CALM, read=6_999), Limits(), "max_drop_share", 0.31),
    ],
    ids=["rejected", "outstanding", "changed", "cleared", "departed", "departed of those known", "drop"],
)
def test_breach_names_the_limit_and_a_value_that_would_pass(
    counts: Counts, limits: Limits, name: str, share: float
) -> None:
    (sentence,) = (each.sentence for each in breaches(counts, limits))
    assert f"limits.{name} is" in sentence
    assert f"set limits.{name} to {share} or more" in sentence
    assert breaches(counts, limits.model_copy(update={name: share})) == []


def test_breach_at_exactly_the_limit_is_none() -> None:
    assert breaches(replace(CALM, rejected=100), Limits()) == []


def test_breach_of_fewer_members_than_min_count_is_none() -> None:
    few = Counts(read=30, rejected=19, remembered=0, changed=0)
    assert breaches(few, Limits()) == []
    assert len(breaches(few, Limits(min_count=19))) == 2  # rejected, and so outstanding


def test_breach_without_a_limit_is_none() -> None:
    assert breaches(replace(CALM, changed=10_000), Limits(max_changed_share=None)) == []


def test_breach_cleared_names_the_field() -> None:
    (breach,) = breaches(replace(CALM, cleared={"a": 1, "lastname": 5_000}), Limits())
    sentence = breach.sentence
    assert "`lastname`" in sentence
