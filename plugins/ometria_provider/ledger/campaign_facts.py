"""What a campaign run found beside what became of each event: for its report, its page and the overview."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import select

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import CampaignRun
from ometria_provider.ledger.statements import insert


@dataclass(frozen=True)
class ApiUse:
    """The requests that one API got.

    :param rate: the account's limit, in requests a second; None when no step said.
    :param share: how much of the limit was used while requests were made, 0 to 1.
    """

    api: str
    requests: int
    throttled: int
    retried: int
    rate: float | None
    share: float | None


class LateWords(NamedTuple):
    """An error that Ometria's log gained, so many times, and that may be about an event of the run."""

    times: int
    message: str
    path: str


@dataclass(frozen=True)
class CampaignFacts:
    """What is known of a campaign run, or of several together.

    :param apis: what it asked each API for.
    :param late: errors that Ometria's log gained meanwhile; an event cannot be read back, so that none is convicted
        (contract/ometria.md, "Custom event").
    """

    apis: tuple[ApiUse, ...] = ()
    late: tuple[LateWords, ...] = ()


def write(ledger: Ledger, account: str, run_id: str, facts: CampaignFacts) -> None:
    """Write down what a campaign run found, in place of what an earlier attempt of it did.

    :param account: the Antavo connection.
    :param run_id: Airflow's id of the run.
    """
    key = {"account": account, "run_id": run_id}
    found = {"facts": asdict(facts), "ended_at": datetime.now(UTC)}
    statement = insert(ledger, CampaignRun).values(**key, **found)
    with ledger.write() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=found))


def facts_of(ledger: Ledger, account: str, run_ids: Collection[str]) -> CampaignFacts:
    """Return what some campaign runs found, together; the requests are those of the last of them."""
    query = (
        select(CampaignRun.facts)
        .where(CampaignRun.account == account, CampaignRun.run_id.in_(run_ids))
        .order_by(CampaignRun.ended_at)
    )
    with ledger.read() as connection:
        found = [_read(facts) for facts in connection.execute(query).scalars()]
    late: dict[tuple[str, str], int] = {}
    for times, message, path in (words for facts in found for words in facts.late):
        late[message, path] = late.get((message, path), 0) + times
    return CampaignFacts(
        apis=found[-1].apis if found else (),
        late=tuple(LateWords(times, *words) for words, times in late.items()),
    )


def _read(facts: dict[str, Any]) -> CampaignFacts:
    return CampaignFacts(
        apis=tuple(ApiUse(**use) for use in facts["apis"]),
        late=tuple(LateWords(*words) for words in facts["late"]),
    )
