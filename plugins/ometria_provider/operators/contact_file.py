"""Push a file of contacts that somebody else made."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from ometria_provider.delivery.batches import Outgoing
from ometria_provider.delivery.books import Books, verdict
from ometria_provider.delivery.compare import Comparison
from ometria_provider.delivery.digests import digest, encode
from ometria_provider.exceptions import Fatal, Misconfigured, Retryable
from ometria_provider.ledger import batches, contacts, findings, late, run_steps, runs
from ometria_provider.ledger.engine import Ledger, open_ledger
from ometria_provider.mapping.records import RECORD_LIMIT
from ometria_provider.metrics import emit, of_step
from ometria_provider.operators.file_verification import FileVerification
from ometria_provider.operators.push import Push
from ometria_provider.operators.sender import Target
from ometria_provider.settings import read_settings
from ometria_provider.staging.store import CHUNK

log = logging.getLogger(__name__)

#: The slice number of a file's only slice.
ONLY = 0


class NothingArrived(Fatal):
    """The push is red: its books say why."""


@dataclass(frozen=True)
class ContactFile:
    """A file of contacts and where they go.

    :param account: the Ometria connection.
    :param verify: find out what Ometria rejects later.
    """

    uri: str
    collection: str
    list_id: int | None
    account: str
    verify: bool = True


def push_file(file: ContactFile, *, dag_id: str, run_id: str) -> dict[str, int]:
    """Push a file as a run of its own and return its books.

    :raises NothingArrived: when records stay pending, or all that were to be sent were rejected.
    """
    ledger = open_ledger(read_settings().ledger_url)
    ledger.ready()
    run = runs.open_run(ledger, dag_id=dag_id, run_id=run_id, mapping=file.collection, dry_run=False)
    runs.keep_plan(ledger, run, account=file.account, collection=file.collection, plan=f"Push {file.uri}.")
    counts: Counter[str] = Counter()
    facts: dict[str, Any] = {}
    try:
        with run_steps.working(ledger, run, "push", ONLY) as step:
            findings.drop_rejections(ledger, run.id, ONLY, "mapping")
            facts = step.facts
            target = Target(file.account, file.collection, run.id, ONLY, file.list_id)
            push = Push(ledger, target, facts)
            verification = FileVerification(ledger, run, file.account, file.collection, push.hook)
            try:
                with push.measured():
                    for rows in read_rows(file.uri):
                        snapshot_at = datetime.now(UTC)
                        going = _compare(ledger, run, file, rows, counts)
                        if going and file.verify:
                            verification.begin()
                        push.send(going, snapshot_at)
                if file.verify:
                    facts["read_back"] = verification.end(_chunks(file))
                else:
                    contacts.settle(ledger, file.account, file.collection)
            finally:
                emit(of_step("push", file.collection, facts))
        books = _books(ledger, run, file, counts)
    except BaseException as error:
        books = _books_so_far(ledger, run, counts, facts)
        runs.close_run(ledger, run.id, state="failed", reason=type(error).__name__, counts=books.columns())
        raise
    reason = verdict(books, dry_run=False, failures=[], breaches=[])
    unverified = late.count_suspects(ledger, file.account, file.collection)
    columns = {**books.columns(), "unverified": unverified}
    runs.close_run(ledger, run.id, state="failed" if reason else "succeeded", reason=reason, counts=columns)
    log.info("%s", ", ".join(f"{name} {count:,}" for name, count in columns.items()))
    if reason:
        raise NothingArrived(f"{reason} `ometria-sync show {run.id}` says more.")
    return books.columns()


def _books(ledger: Ledger, run: runs.Run, file: ContactFile, counts: Counter[str]) -> Books:
    """Return the books of a push that came to its end: where each record of the file stands now."""
    found: Counter[str] = Counter()
    for chunk in _chunks(file):
        known = contacts.known_contacts(ledger, file.account, file.collection, list(chunk))
        found.update(_account(known.get(id_), run) for id_ in chunk)
    new = counts["refused"] + found["new"]
    return Books(
        read=counts["read"],
        # Of several rows of one contact in a chunk one stands for it; the others change nothing.
        unchanged=counts["read"] - counts["refused"] - found.total() + found["unchanged"],
        filtered=0,
        rejected=new + found["remembered"],
        new=new,
        to_send=counts["send"],
        sent=batches.count_records(ledger, run.id, "acknowledged", "doubtful"),
        accepted=found["accepted"],
        pending=found["pending"],
    )


def _account(known: contacts.Known | None, run: runs.Run) -> str:
    """Return the account of the books in which a contact ended."""
    if known is None or known.state == "pending":
        return "pending"
    own = known.sync_run_id == run.id
    if known.state == "rejected":
        return "new" if own else "remembered"
    return "accepted" if own and known.state == "accepted" else "unchanged"


def _books_so_far(ledger: Ledger, run: runs.Run, counts: Counter[str], facts: dict[str, Any]) -> Books:
    """Return the books of a push that failed: what it did not get to is pending."""
    new = counts["refused"] + findings.count_rejections(ledger, run.id, "push")
    accepted, unchanged = facts.get("accepted", 0), counts["unchanged"] + facts.get("superseded", 0)
    settled = unchanged + new + counts["remembered"] + accepted
    return Books(
        read=counts["read"],
        unchanged=unchanged,
        filtered=0,
        rejected=new + counts["remembered"],
        new=new,
        to_send=counts["send"],
        sent=batches.count_records(ledger, run.id, "acknowledged", "doubtful"),
        accepted=accepted,
        pending=counts["read"] - settled,
    )


def _chunks(file: ContactFile) -> Iterator[dict[str, bytes]]:
    """Yield the records that can be sent, by contact id, a chunk of the file at a time."""
    for rows in read_rows(file.uri):
        bodies = ((str(row["id"]), encode(_record(row, file))) for row in rows if _has_id(row))
        yield {id_: body for id_, body in bodies if len(body) <= RECORD_LIMIT}


def _has_id(row: dict[str, Any]) -> bool:
    return isinstance(row.get("id"), str) and bool(row["id"])


def _compare(
    ledger: Ledger, run: runs.Run, file: ContactFile, rows: list[dict[str, Any]], counts: Counter[str]
) -> list[Outgoing]:
    """Return the contacts that differ from what Ometria acknowledged last; reject those that cannot be sent."""
    rules = Comparison(run_id=run.id, retry_rejected=None, now=run.started_at)
    known = contacts.known_contacts(ledger, file.account, file.collection, [str(row.get("id")) for row in rows])
    going: list[Outgoing] = []
    refused: list[tuple[str, str | None, str]] = []
    for position, row in enumerate(rows, start=counts["read"] + 1):
        if not _has_id(row):
            refused.append((f"row {position}", "id", "is not a text: a contact needs an id"))
            continue
        id_ = str(row["id"])
        body = encode(_record(row, file))
        if len(body) > RECORD_LIMIT:
            refused.append((id_, None, f"the record is larger than {RECORD_LIMIT} bytes"))
            continue
        mark = digest(body)
        action = rules.by_record(known.get(id_), mark, mark)
        counts[action] += 1
        if action == "send":
            going.append(Outgoing(id_, body, mark, mark, None))
    counts.update(read=len(rows), refused=len(refused))
    findings.reject(ledger, run.id, ONLY, "mapping", refused)
    return going


def _record(row: dict[str, Any], file: ContactFile) -> dict[str, Any]:
    directives = {"@type": "contact", "@collection": file.collection, "@merge": True}
    lists = {} if file.list_id is None else {"@add_to_lists": [file.list_id]}
    return {**_without_empty(row), **directives, **lists}


def _without_empty(row: dict[str, Any]) -> dict[str, Any]:
    """Leave out null, NaN and empty objects, on every level: null would clear a field."""
    kept: dict[str, Any] = {}
    for name, given in row.items():
        value = _without_empty(given) if isinstance(given, dict) else given
        if value is None or value == {} or (isinstance(value, float) and not math.isfinite(value)):
            continue
        # Ometria wants times with an offset; a Parquet file often has none and means UTC.
        kept[name] = value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
    return kept


def read_rows(uri: str) -> Iterator[list[dict[str, Any]]]:
    """Yield a file's contacts in chunks of at most 50,000.

    :param uri: a path or URI that Airflow's object storage knows; `.parquet`, or JSON Lines with any other ending.
    :raises Misconfigured: when it is not there or cannot be read as what its name says.
    """
    from airflow.sdk import ObjectStoragePath

    path: Any = ObjectStoragePath(uri)  # its `open` is untyped
    try:
        with path.open("rb") as file:
            yield from (_parquet(file) if uri.endswith(".parquet") else _json_lines(file))
    except FileNotFoundError as error:
        raise Misconfigured(f"There is no file {uri}.") from error
    except (ValueError, TypeError) as error:
        raise Misconfigured(
            f"{uri} cannot be read as {'Parquet' if uri.endswith('.parquet') else 'JSON Lines'}."
        ) from error
    except OSError as error:
        raise Retryable(f"{uri} cannot be read: {error.strerror or type(error).__name__}.") from error


def _parquet(file: Any) -> Iterator[list[dict[str, Any]]]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(file).iter_batches(batch_size=CHUNK):
        yield batch.to_pylist()


def _json_lines(file: Any) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    for line in file:
        if line.strip():
            rows.append(decode(line))
        if len(rows) == CHUNK:
            yield rows
            rows = []
    if rows:
        yield rows
