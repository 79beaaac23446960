"""Made-up members never reach a real account."""

from __future__ import annotations

import json

import pytest
from launcher.accounts import fingerprint, given_connections, host_of, is_local, stand_ins
from launcher.errors import Refused

PAIR = ("antavo_default", "ometria_default")


def test_stand_ins_neither_given_are_both():
    assert stand_ins([PAIR], {}) == set(PAIR)


def test_stand_ins_both_given_are_none():
    assert stand_ins([PAIR], {"antavo_default": "https://api.st2.antavo.com", "ometria_default": None}) == set()


@pytest.mark.parametrize("given", PAIR)
@pytest.mark.parametrize("host", ["https://api.example.com", None, "", "https://127.0.0.1.example.com"])
def test_stand_ins_one_real_account_given_is_refused(given, host):
    missing = next(each for each in PAIR if each != given)
    with pytest.raises(Refused) as refused:
        stand_ins([PAIR], {given: host})
    assert f"AIRFLOW_CONN_{missing.upper()}" in str(refused.value)
    assert f"`{given}` is given" in str(refused.value)


@pytest.mark.parametrize("given", PAIR)
def test_stand_ins_one_local_account_given_is_the_other(given):
    assert stand_ins([PAIR], {given: "http://127.0.0.1:9000/x"}) == set(PAIR) - {given}


def test_stand_ins_shared_by_two_pairs_refuses_the_pair_that_is_real():
    with pytest.raises(Refused, match="ometria_uk"):
        stand_ins([PAIR, ("antavo_default", "ometria_uk")], {"ometria_uk": "https://api.ometria.com"})


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("http://127.0.0.1:8765/loyalty", True),
        ("127.0.0.1", True),
        ("127.8.0.1:80", True),
        ("http://localhost:1", True),
        ("http://[::1]:8080", True),
        ("https://api.ometria.com", False),
        ("api.ometria.com", False),
        ("http://127.0.0.1@evil.example", False),
        ("http://localhost.example", False),
        ("http://192.168.1.4", False),
        ("", False),
        (None, False),
    ],
)
def test_is_local_tells_this_machine_from_all_others(host, local):
    assert is_local(host) is local


@pytest.mark.parametrize(
    ("text", "host"),
    [
        (json.dumps({"conn_type": "ometria", "host": "http://127.0.0.1:1", "password": "k"}), "http://127.0.0.1:1"),
        (json.dumps({"conn_type": "ometria", "password": "k"}), None),
        ("antavo://key:secret@http%3A%2F%2F127.0.0.1%3A99/?signing=none", "http://127.0.0.1:99"),
        ("antavo://key:secret@api.st2.antavo.com", "api.st2.antavo.com"),
        ("ometria://:key@localhost:9000", "localhost"),
    ],
)
def test_host_of_reads_both_forms_of_a_connection(text, host):
    assert host_of("any", text) == host


@pytest.mark.parametrize("text", ['{"host": ', "just-a-key", "[1]"])
def test_host_of_nonsense_is_refused_without_showing_it(text):
    with pytest.raises(Refused) as refused:
        host_of("ometria_default", text)
    assert "AIRFLOW_CONN_OMETRIA_DEFAULT" in str(refused.value)
    assert text not in str(refused.value)


def test_given_connections_environment_wins_over_the_database():
    stored = {"antavo_default": "https://stored.example", "other": "x"}
    environment = {"AIRFLOW_CONN_ANTAVO_DEFAULT": '{"host": "http://127.0.0.1"}'}
    assert given_connections(PAIR, environment, stored) == {"antavo_default": "http://127.0.0.1"}


def test_fingerprint_changes_with_an_account_and_not_with_the_rest():
    before = fingerprint({"AIRFLOW_CONN_A": "1", "PATH": "/bin"})
    assert fingerprint({"AIRFLOW_CONN_A": "1", "PATH": "/usr/bin"}) == before
    assert fingerprint({"AIRFLOW_CONN_A": "2", "PATH": "/bin"}) != before
