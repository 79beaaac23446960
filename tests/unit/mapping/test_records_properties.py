"""Whatever members and mappings: one account for each, the same records by way of Parquet, one fingerprint for each."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from ometria_provider.delivery.books import Books
from ometria_provider.delivery.compare import Comparison
from ometria_provider.delivery.digests import decode_sources, digest, encode, encode_source, source_digest
from ometria_provider.mapping.customers import Projection
from ometria_provider.mapping.model import Mapping
from ometria_provider.mapping.records import Mapped, map_columns
from ometria_provider.staging.store import SliceStore
from ometria_provider.staging.tables import source_table

NOW = datetime.datetime(2026, 1, 15, tzinfo=datetime.UTC)

TEXTS = st.text(max_size=12) | st.sampled_from(["Ann", " ann@example.com ", "", "GB", "+447400123456", "male", "yes"])
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False, width=32) | st.just(0.1 + 0.2)
TIMES = st.sampled_from(["1980-02-29", "2999-01-01", "1979-02-29", "2026-03-29T02:30:00+01:00", 1_700_000_000])
VALUES = st.none() | TEXTS | NUMBERS | TIMES | st.booleans() | st.lists(TEXTS | NUMBERS, max_size=3)

#: Rows that a mapping may have, each with a remote field of its own.
ROWS: list[dict[str, Any]] = [
    {"loyalty": "first_name", "remote": "firstname", "transform": ["strip", "title"]},
    {"loyalty": "birth_date", "remote": "date_of_birth"},
    {"loyalty": "mobile_phone", "remote": "phone_number", "transform": [{"e164": "GB"}]},
    {"loyalty": "country", "remote": "country_id"},
    {"loyalty": "gender", "remote": "gender"},
    {"loyalty": "score", "remote": "points", "transform": ["integer"]},
    {"loyalty": "properties.a", "remote": "a", "transform": ["number", {"round": 1}]},
    {"loyalty": "properties.b", "remote": "b", "transform": ["bool"]},
    {"loyalty": "properties.c", "remote": "c", "transform": [{"join": "|"}, "lower"]},
    {"loyalty": "properties.d", "remote": "d", "transform": [{"map": {"yes": 1, "no": 0}}]},
    {"loyalty": "properties.e", "remote": "e"},
    {"value": "antavo", "remote": "source"},
]


@st.composite
def mappings(draw: st.DrawFn) -> Mapping:
    rows = draw(st.lists(st.sampled_from(ROWS), min_size=1, unique_by=lambda row: row["remote"]))
    data = {"mode": draw(st.sampled_from(["legacy", "v2"])), "list": 4821, "fields": rows}
    return Mapping.from_data("customers", data)


CUSTOMERS = st.fixed_dictionaries(
    {
        "_id": st.text(min_size=1, max_size=8),
        "status": st.sampled_from(["active", "inactive", "banned", None]),
        "email": st.sampled_from(["ann@example.com", "no e-mail", "", None]),
        **dict.fromkeys(("first_name", "birth_date", "mobile_phone", "country", "gender", "score"), VALUES),
        "properties": st.fixed_dictionaries(dict.fromkeys("abcde", VALUES)),
    }
)
MEMBERS = st.lists(CUSTOMERS, max_size=6, unique_by=lambda customer: customer["_id"])


@dataclass
class Row:
    """What the ledger may know of a contact."""

    state: str
    fingerprint: bytes | None
    source_digest: bytes | None
    sync_run_id: int
    changed_at: datetime.datetime
    suspect: str | None = None
    held: str | None = None
    consent_digest: bytes | None = None
    opted_out_at: datetime.datetime | None = None
    sms_opted_out_at: datetime.datetime | None = None
    details_at: datetime.datetime | None = None


def map_rows(mapping: Mapping, rows: list[list[Any]]) -> Mapped:
    return map_columns(mapping, [list(column) for column in zip(*rows, strict=True)], today=NOW.date())


@given(mappings(), MEMBERS, st.data())
def test_member_of_any_mapping_ends_in_exactly_one_account(mapping: Mapping, members: Any, data: st.DataObject) -> None:
    projection = Projection(mapping)
    rows = [projection.project(member) for member in members]
    mapped = map_rows(mapping, rows)
    rules = Comparison(run_id=7, retry_rejected=datetime.timedelta(days=1), now=NOW, asked_for=data.draw(st.booleans()))
    rejected = {rejection.row for rejection in mapped.rejections}
    actions: Counter[str] = Counter()
    for row, (outcome, body) in enumerate(zip(mapped.outcomes, mapped.bodies, strict=True)):
        assert outcome in {"record", "filtered", "rejected"}
        assert (body is not None) == (outcome == "record")
        assert (row in rejected) == (outcome == "rejected"), "a rejection says why, and nobody else has one"
        source = source_digest(encode_source(rows[row]), b"key")
        mark = None if body is None else digest(body)
        states = st.sampled_from(["accepted", "pending", "rejected", "filtered", "departed"])
        known = data.draw(
            st.none()
            | st.builds(
                Row,
                states,
                st.sampled_from([None, b"other", mark]),
                st.sampled_from([None, b"other", source]),
                st.sampled_from([6, 7]),
                st.sampled_from([NOW, NOW - datetime.timedelta(days=9)]),
            )
        )
        action = rules.at_a_glance(known, source)  # type: ignore[arg-type]
        if action is None and outcome == "filtered":
            action = "filtered"
        elif action is None:
            refused = mark is None
            action = rules.by_refusal(known, source) if refused else rules.by_record(known, source, mark or b"")  # type: ignore[arg-type]
        actions[action] += 1
    books = Books(
        read=len(members),
        unchanged=actions["unchanged"],
        filtered=actions["filtered"],
        rejected=actions["rejected"] + actions["remembered"],
        new=actions["rejected"],
        to_send=actions["send"],
        sent=actions["send"],
        accepted=actions["send"],
        pending=actions["held"],
    )
    assert books.balanced, actions


@given(mappings(), st.lists(CUSTOMERS, min_size=1, max_size=6, unique_by=lambda customer: customer["_id"]))
def test_map_by_way_of_parquet_makes_the_same_records(mapping: Mapping, members: Any) -> None:
    projection = Projection(mapping)
    rows = [projection.project(member) for member in members]
    sources = [encode_source(row) for row in rows]
    digests = [source_digest(source, b"key") for source in sources]
    table = source_table([member["_id"] for member in members], sources, digests, [True] * len(rows))
    with TemporaryDirectory() as folder:
        store = SliceStore(Path(folder) / "slice")  # type: ignore[arg-type]  # a path of the machine's will do
        store.write_chunk("extract", 0, table)
        read = store.read_chunk("extract", 0)
    columns = decode_sources(read["source"].to_pylist(), len(projection.paths))
    again, direct = map_columns(mapping, columns, today=NOW.date()), map_rows(mapping, rows)
    assert again.bodies == direct.bodies
    assert again.rejections == direct.rejections
    assert again.outcomes == direct.outcomes
    assert read["contact_id"].to_pylist() == [member["_id"] for member in members]
    # And what was read once is read the same again: a customer who did not change keeps its source digest.
    rows_again = [list(row) for row in zip(*columns, strict=True)]
    assert [source_digest(encode_source(row), b"key") for row in rows_again] == digests


SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 1.5, "1", "", "a"])
RECORDS = st.dictionaries(st.sampled_from("abc"), SCALARS | st.lists(SCALARS, max_size=2), max_size=3)


@given(RECORDS, RECORDS)
def test_fingerprints_are_equal_exactly_when_records_are(one: dict[str, Any], other: dict[str, Any]) -> None:
    def said(record: dict[str, Any]) -> str:
        return json.dumps(record, sort_keys=True)  # Python itself takes 1, 1.0 and True for the same

    assert (digest(encode(one)) == digest(encode(other))) == (said(one) == said(other))
    assert digest(encode(dict(reversed(one.items())))) == digest(encode(one))
