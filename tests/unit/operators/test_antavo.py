"""Cutting what comes from Antavo into chunks. Whole runs: tests/integration."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ometria_provider.operators.antavo import in_chunks
from ometria_provider.operators.stager import Staged


def test_chunk_is_as_old_as_its_first_page() -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    pages = [(begin + timedelta(minutes=n), [_staged(f"{n}a"), _staged(f"{n}b")]) for n in range(5)]
    chunks = [(at, [member.contact_id for member in chunk]) for at, chunk in in_chunks(iter(pages), 4)]
    assert chunks == [
        (begin, ["0a", "0b", "1a", "1b"]),
        (begin + timedelta(minutes=2), ["2a", "2b", "3a", "3b"]),
        (begin + timedelta(minutes=4), ["4a", "4b"]),
    ]


def _staged(id_: str) -> Staged:
    return Staged(id_, b"", b"", id_)
