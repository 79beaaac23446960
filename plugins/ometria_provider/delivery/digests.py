"""Digests: what a customer looked like, and what a record says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from operator import attrgetter
from typing import Any

import msgspec

#: Bytes of a digest: at a million records the chance of one collision is below 1e-26.
SIZE = 16

# Sorted keys: equal records have equal bytes, whatever order their fields were mapped in.
_encoder = msgspec.json.Encoder(order="sorted")


def encode(record: dict[str, Any]) -> bytes:
    """Return a record's canonical JSON, which is also what is sent: it is encoded once."""
    return _encoder.encode(record)


def digest(encoded: bytes) -> bytes:
    """Return the fingerprint of an encoded record (16 bytes)."""
    return blake2b(encoded, digest_size=SIZE).digest()


def source_digest(encoded: bytes, key: bytes) -> bytes:
    """Return the digest of what was read of a customer, under a mapping.

    :param key: digest of mapping and validation suite, so that a change of either makes every customer differ.
    """
    return blake2b(encoded, digest_size=SIZE, key=key).digest()


def with_details(base: bytes, details: list[Any]) -> bytes:
    """Return the source digest of a customer whose details were asked for.

    It begins with the digest of the rest, so that a look at the ledger tells whether the rest is unchanged.

    :param base: the source digest without details.
    """
    return base + digest(encode_source(details))


def without_details(source: bytes) -> bytes:
    """Return the part of a source digest that is known before anybody asks for details."""
    return source[:SIZE]


def encode_source(values: list[Any]) -> bytes:
    """Return what was read of a customer as JSON: values keep their types (1, 1.0 and "1" differ)."""
    try:
        return msgspec.json.encode(values)
    except UnicodeEncodeError:  # half a surrogate pair: map rejects that customer, so it has to get there
        return json.dumps(values).encode()


def decode_sources(sources: Sequence[bytes], width: int) -> list[list[Any]]:
    """Return what was read of customers as columns: a list of all customers' first values, one of all second ones, …

    :param width: how many values each customer has.
    """
    slots = [f"slot_{number}" for number in range(width)]
    # An object of slots costs half as much to make and to take apart as a list.
    kind = msgspec.defstruct("Source", [(slot, Any) for slot in slots], array_like=True, frozen=True, gc=False)
    try:
        rows = list(map(msgspec.json.Decoder(kind).decode, sources))
    except msgspec.DecodeError:  # broken Unicode, which msgspec refuses
        return list(map(list, zip(*map(json.loads, sources), strict=True)))
    return [list(map(attrgetter(slot), rows)) for slot in slots]
