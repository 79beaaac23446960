"""From an error's path to the records that it may be about, in both modes."""

import pytest
from ometria_provider.delivery.suspects import Field, concerned, concerning, field_of, join, keys, split
from ometria_provider.mapping.fields import remote_type
from ometria_provider.mapping.layout import path as path_of

REMOTES = (
    *("id", "email", "lastname", "store_ids", "mm:x"),
    *("channels.sms.allow_marketing", "channels.sms.allow_transactional", "extra_identifiers.card"),
)
FIELDS = {
    mode: {path_of(remote, mode): Field(remote, remote_type(remote) is None) for remote in REMOTES}
    for mode in ("legacy", "v2")
}


@pytest.mark.parametrize(
    ("path", "legacy", "v2"),
    [
        ("root > lastname", {"lastname"}, {"lastname"}),
        ("root>lastname", {"lastname"}, {"lastname"}),
        ("root > mm:x", {"mm:x"}, set()),
        ("root > properties > mm:x", set(), {"mm:x"}),
        ("root > properties", set(), {"mm:x"}),
        ("root > properties > other", set(), set()),
        ("root > channels > sms > allow_marketing", {"channels.sms.allow_marketing"}, {"channels.sms.allow_marketing"}),
        ("root > channels > sms", {*REMOTES[5:7]}, {*REMOTES[5:7]}),
        ("root > store_ids > 0", {"store_ids"}, {"store_ids"}),
        ("root > extra_identifiers > card", {"extra_identifiers.card"}, {"extra_identifiers.card"}),
        ("root > event_type", set(), set()),
        ("root > @add_to_lists", None, None),
        ("root", None, None),
        ("root > ", None, None),
        ("", None, None),
        ("lastname", None, None),
        ("?? > lastname", None, None),
    ],
)
def test_concerned_reads_a_path(path: str, legacy: set[str] | None, v2: set[str] | None) -> None:
    assert concerned(path, FIELDS["legacy"]) == legacy
    assert concerned(path, FIELDS["v2"]) == v2


def test_concerning_leaves_out_paths_of_fields_that_are_not_sent() -> None:
    paths = ["root > lastname", "root > prefix", "nonsense"]
    assert concerning(paths, FIELDS["v2"]) == {"root > lastname": {"lastname"}, "nonsense": None}


def test_field_of_names_the_one_field_and_nothing_else() -> None:
    assert field_of("root > lastname", FIELDS["v2"]) == "lastname"
    assert field_of("root > channels", FIELDS["v2"]) is None
    assert field_of("root", FIELDS["v2"]) is None


def test_paths_survive_the_ledger() -> None:
    assert split(join(["root > a", "root > b"])) == ["root > a", "root > b"]
    assert join([""]), "an empty path is a suspicion too"
    assert len(join([f"root > field_{number}" for number in range(99)])) <= 250
    assert keys("root > properties > mm:x") == ("properties", "mm:x")
