from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.remote_fields import field_bits, note_arrivals, silent_fields

OF = ("ometria_default", "customers")


def test_field_bits_are_handed_out_once_and_never_move(ledger: Ledger) -> None:
    first = field_bits(ledger, "ometria_default", "customers", ["id", "email"])
    later = field_bits(ledger, "ometria_default", "customers", ["tier", "id"])
    assert first == {"id": 0, "email": 1}
    assert later == {"id": 0, "email": 1, "tier": 2}
    assert field_bits(ledger, "ometria_default", "other", ["tier"]) == {"tier": 0}


def test_silent_fields_are_those_that_were_looked_at_last_in_vain(ledger: Ledger) -> None:
    field_bits(ledger, *OF, ["tier", "points", "born"])
    field_bits(ledger, "ometria_default", "other", ["tier"])
    assert silent_fields(ledger, *OF) == set()
    note_arrivals(ledger, *OF, {"tier": True, "points": True, "unheard of": True})
    note_arrivals(ledger, *OF, {"points": False, "born": False})
    assert silent_fields(ledger, *OF) == {"tier"}, "nobody looked at it since"
    assert silent_fields(ledger, "ometria_default", "other") == set()
