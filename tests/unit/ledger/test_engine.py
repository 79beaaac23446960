import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from network import Line, line
from ometria_provider import __version__
from ometria_provider.exceptions import Misconfigured, Retryable
from ometria_provider.ledger import engine as engine_module
from ometria_provider.ledger.engine import HEAD, Ledger, open_ledger, upgrade
from ometria_provider.ledger.models import Base, RateSlot
from sqlalchemy import Connection, insert, inspect, make_url, select, text


def test_head_equals_the_only_head_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(engine_module.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_models_after_upgrade_match_the_database(ledger: Ledger) -> None:
    with ledger.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_comparison_with_a_column_too_few_sees_it(ledger: Ledger) -> None:
    with ledger.write() as connection:
        connection.execute(text("ALTER TABLE sync_run DROP COLUMN plan"))
    with ledger.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) != []


def test_upgrade_of_an_upgraded_ledger_keeps_its_rows(ledger: Ledger, ledger_url: str) -> None:
    with ledger.write() as connection:
        connection.execute(RateSlot.__table__.insert().values(account="a", bucket="push", next_at=1.5))
    assert upgrade(ledger_url) == HEAD
    with ledger.read() as connection:
        assert connection.execute(select(RateSlot.next_at)).scalars().all() == [1.5]


def test_upgrade_by_two_processes_at_once_succeeds_for_both(empty_url: str) -> None:
    script = "import sys; from ometria_provider.ledger.engine import upgrade; upgrade(sys.argv[1])"
    both = [subprocess.Popen([sys.executable, "-c", script, empty_url], stderr=subprocess.PIPE) for _ in range(2)]
    errors = [process.communicate(timeout=60)[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert open_ledger(empty_url).version() == HEAD
    open_ledger(empty_url).engine.dispose()


def test_version_without_tables_is_none_and_refused(empty_url: str) -> None:
    empty = open_ledger(empty_url)
    assert empty.version() is None
    with pytest.raises(Misconfigured, match=r"has no tables yet.*ometria-sync ledger upgrade"):
        empty.check_version()
    empty.engine.dispose()


def test_version_of_another_package_is_refused_with_both_versions(ledger: Ledger) -> None:
    with ledger.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Misconfigured, match=f"is at version 9999; this package works with version {HEAD}"):
        ledger.check_version()


def test_ledger_newer_than_the_package_is_refused_by_tasks_and_by_upgrade(ledger: Ledger, ledger_url: str) -> None:
    with ledger.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for refuse in (ledger.check_version, ledger.ready, lambda: upgrade(ledger_url)):
        with pytest.raises(Misconfigured, match=f"{__version__} on .* is older .* Install that one here too"):
            refuse()
    assert ledger.version() == "9999"


def test_ledger_older_than_the_package_is_refused_until_it_is_upgraded(empty_url: str) -> None:
    upgrade(empty_url, "0001")
    ledger = open_ledger(empty_url)
    with pytest.raises(Misconfigured, match=r"is at version 0001; .*Run `ometria-sync ledger upgrade` once"):
        ledger.ready()
    upgrade(empty_url)
    ledger.ready()
    ledger.engine.dispose()


def test_failed_write_leaves_nothing_behind(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="in the middle"), ledger.write() as connection:
        connection.execute(RateSlot.__table__.insert().values(account="a", bucket="push", next_at=1.0))
        raise ValueError("in the middle")
    with ledger.read() as connection:
        assert connection.execute(select(RateSlot.account)).all() == []


def test_locked_sqlite_ledger_is_retryable_in_clear_words(
    sqlite_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "BUSY_SECONDS", 0.05)
    other = sqlite3.connect(sqlite_ledger.engine.url.database or "", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with (
        pytest.raises(Retryable, match=r"locked\. Another process has held it for 0\.05 s; the task tries again"),
        sqlite_ledger.write(),
    ):
        pass
    other.execute("ROLLBACK")
    other.close()
    with sqlite_ledger.write() as connection:
        connection.execute(select(RateSlot))


def test_locked_sqlite_ledger_can_still_be_read(sqlite_ledger: Ledger) -> None:
    other = sqlite3.connect(sqlite_ledger.engine.url.database or "", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert sqlite_ledger.version() == HEAD
    other.close()


def test_locked_row_on_postgresql_is_retryable_in_clear_words(
    postgres_template: str, new_postgres_database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "BUSY_SECONDS", 0.05)
    ledger = open_ledger(new_postgres_database(postgres_template))
    with ledger.write() as connection:
        connection.execute(RateSlot.__table__.insert().values(account="a", bucket="push", next_at=1.0))
    with ledger.write() as holder:
        holder.execute(text("UPDATE rate_budget SET next_at = 2"))
        with pytest.raises(Retryable, match=r"lock timeout.*the task tries again"), ledger.write() as connection:
            connection.execute(text("UPDATE rate_budget SET next_at = 3"))
    ledger.engine.dispose()


def test_ledger_out_of_reach_is_retryable_without_the_password() -> None:
    ledger = open_ledger("postgresql+psycopg://ledger:s3cret@127.0.0.1:1/ledger")
    with pytest.raises(Retryable, match="Is the database up") as caught:
        ledger.version()
    assert "s3cret" not in str(caught.value)
    assert "127.0.0.1:1/ledger" in str(caught.value)


def test_ledger_on_a_full_disk_is_retryable_in_clear_words(sqlite_ledger: Ledger) -> None:
    big = [{"account": str(number), "bucket": "x" * 20, "next_at": 0.0} for number in range(5_000)]
    with pytest.raises(Retryable, match=r"full\. Free some space"), sqlite_ledger.write() as connection:
        connection.execute(text("PRAGMA max_page_count = 1"))  # SQLite rounds it up to what is there already
        connection.execute(RateSlot.__table__.insert(), big)


def test_ledger_that_cannot_even_be_read_as_its_disk_is_full_says_so(sqlite_ledger: Ledger) -> None:
    sqlite_ledger.engine.dispose()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # SQLite cannot make its file of shared memory
    try:
        with pytest.raises(Retryable, match=r"its disk is full, or failing\. Free some space on its disk"):
            sqlite_ledger.version()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_file_that_is_no_database_is_misconfigured(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("These are not the rows you are looking for. " * 50)
    ledger = open_ledger(f"sqlite:///{tmp_path / 'notes.txt'}")
    with pytest.raises(Misconfigured, match="is damaged, or no ledger at all"):
        ledger.version()


@pytest.mark.parametrize("url", ["no url", "oracle9://host/x", "sqlite:////proc/nowhere/ledger.db"])
def test_url_that_cannot_be_used_is_misconfigured(url: str) -> None:
    with pytest.raises(Misconfigured, match="ledger_sql_alchemy_conn"):
        open_ledger(url)


def test_error_of_the_database_does_not_show_the_rows(ledger: Ledger) -> None:
    row = {"account": "nobody-may-see-this", "bucket": "push", "next_at": 0.0}
    with pytest.raises(Exception, match=r"(?i)unique") as caught, ledger.write() as connection:
        connection.execute(RateSlot.__table__.insert(), [row, row])
    own_words = str(caught.value).split("[SQL:")[1]
    assert "nobody-may-see-this" not in own_words


def test_sqlite_ledger_survives_a_power_cut_as_far_as_it_can(sqlite_ledger: Ledger) -> None:
    with sqlite_ledger.read() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
        assert inspect(connection).has_table("contact_state")


@pytest.fixture
def far_ledger(
    postgres_template: str, new_postgres_database: Callable[..., str], postgres_server: str
) -> Iterator[tuple[Ledger, Line]]:
    """A ledger on PostgreSQL behind a line that can be cut."""
    url = make_url(new_postgres_database(postgres_template))
    with line(("127.0.0.1", url.port or 0)) as wire:
        opened = open_ledger(url.set(port=wire.port).render_as_string())
        yield opened, wire
        opened.engine.dispose()


def slots(ledger: Ledger) -> int:
    with ledger.read() as connection:
        return len(connection.execute(select(RateSlot)).all())


@pytest.mark.parametrize("verb", ["read", "write", "write_at_once"])
def test_server_that_restarts_is_waited_for_by_who_has_worked_with_it(
    far_ledger: tuple[Ledger, Line], monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    ledger, wire = far_ledger
    assert slots(ledger) == 0
    wire.cut()
    knocks = []

    def knock(seconds: float) -> None:
        knocks.append(seconds)
        if len(knocks) == 3:
            wire.mend()

    monkeypatch.setattr(engine_module, "sleep", knock)
    with getattr(ledger, verb)() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    assert len(knocks) == 3


def test_server_that_stays_away_is_retryable_when_the_time_is_up(
    far_ledger: tuple[Ledger, Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, wire = far_ledger
    slots(ledger)
    wire.cut()
    monkeypatch.setattr(engine_module, "BUSY_SECONDS", 0.0)
    with pytest.raises(Retryable, match="does not answer"), ledger.read():
        pass


def test_server_that_never_answered_is_not_waited_for(
    far_ledger: tuple[Ledger, Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, wire = far_ledger
    wire.cut()
    monkeypatch.setattr(engine_module, "sleep", lambda _: pytest.fail("it waited"))
    with pytest.raises(Retryable, match="does not answer"), ledger.read():
        pass


@pytest.mark.parametrize("at_once", [False, True])
def test_transaction_whose_server_went_away_is_done_once_more(
    far_ledger: tuple[Ledger, Line], *, at_once: bool
) -> None:
    ledger, wire = far_ledger
    slots(ledger)
    tries = []

    def work(connection: Connection) -> str:
        connection.execute(insert(RateSlot).values(account="a", bucket="push", next_at=0.0))
        tries.append(1)
        if len(tries) == 1:
            wire.cut()
            wire.mend()
            connection.execute(text("SELECT 1"))
        return "done"

    assert ledger.transact(work, at_once=at_once) == "done"
    assert len(tries) == 2
    assert slots(ledger) == 1


def test_transaction_that_failed_for_another_reason_is_not_done_again(ledger: Ledger) -> None:
    tries = []

    def work(connection: Connection) -> None:
        tries.append(1)
        raise Retryable("something else")

    with pytest.raises(Retryable, match="something else"):
        ledger.transact(work)
    assert len(tries) == 1
