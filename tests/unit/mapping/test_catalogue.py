from __future__ import annotations

import pytest
from ometria_provider.mapping.catalogue import FieldProblem, split_path


@pytest.mark.parametrize(
    ("name", "segments"),
    [
        ("email", ("email",)),
        ("tiers.basic.next.name", ("tiers", "basic", "next", "name")),
        ('properties["a.b"]', ("properties", "a.b")),
        ('properties["a.b"].c', ("properties", "a.b", "c")),
        ('properties["say \\"hi\\""]', ("properties", 'say "hi"')),
        ("properties.shoe size", ("properties", "shoe size")),
    ],
)
def test_split_path_of_a_name_gives_its_segments(name, segments):
    assert split_path(name) == segments


@pytest.mark.parametrize(
    "name", ["", ".", "a..b", "a.", ".a", "properties[a]", "properties['a.b']", 'properties["a', "a. b"]
)
def test_split_path_of_a_broken_name_is_refused(name):
    with pytest.raises(FieldProblem):
        split_path(name)
