from __future__ import annotations

import pytest
from ometria_provider.mapping.countries import _CODES, country_code
from ometria_provider.mapping.values import Unconvertible


def test_country_table_is_complete_and_unambiguous():
    codes = set(_CODES.values())
    assert len(codes) == 249
    assert all(country_code(code) == code for code in codes)
    assert sum(len(name) == 3 and name.isascii() for name in _CODES) >= 249


@pytest.mark.parametrize(
    ("value", "code"),
    [("UK", "GB"), ("usa", "US"), ("Türkiye", "TR"), ("turkey", "TR"), ("FRA", "FR"), ("Magyarország", "HU")],
)
def test_country_code_of_a_common_name_is_found(value, code):
    assert country_code(value) == code


@pytest.mark.parametrize("value", ["", "XX", "ZZZ", 826, None, "GB-ENG"])
def test_country_code_of_no_country_is_refused(value):
    with pytest.raises(Unconvertible):
        country_code(value)
