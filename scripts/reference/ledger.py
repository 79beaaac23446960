"""docs/reference/ledger.md: tables and columns of the ledger."""

from __future__ import annotations

from typing import Any

from ometria_provider.ledger import models, runs
from ometria_provider.ledger.engine import BUSY_SECONDS, HEAD

from reference import markdown

_INTRO = f"""\
Our own SQL database, never Airflow's: SQLite by default, PostgreSQL in deployment, the same migrations on both. Times
are UTC. No personal data beyond ids. This package works with version `{HEAD}`; `ometria-sync ledger upgrade` brings a
ledger there. On SQLite a writer waits up to {BUSY_SECONDS} s for another one.

Read it with SQL as you like; write to it with this package only. A column without “may be null” always has a value."""

_RUN_STATES = "`running`, `succeeded`, `failed`, `halted`, `awaiting_approval`"
_CONTACT_STATES = "`pending`, `accepted`, `rejected`, `filtered`, `departed`"
_SLICE = "number of the slice, from 0; -2 for the records of those who left"

#: What each column holds. A test fails when one is missing here, or is gone from the models.
MEANINGS: dict[str, dict[str, str]] = {
    "sync_run": {
        "id": "our own number of the run: RUN of the command line",
        "dag_id": "Airflow's DAG id; with `.task_id` behind it for a push of your own file",
        "run_id": "Airflow's run id, unique only within its DAG",
        "mapping": "the mapping file's name; for a push of your own file its collection",
        "account": "the Ometria connection's id",
        "collection": "Ometria's `@collection`",
        "state": _RUN_STATES,
        "reason": "why the run is red",
        "strategy": f"whom the run read: {', '.join(map(markdown.code, (runs.FULL, runs.INCREMENTAL, runs.CHOSEN)))}",
        "dry_run": "true: nothing was sent",
        "read": "members read from Antavo",
        "unchanged": "members whose record is the one last accepted",
        "filtered": "members that the mapping's `where` leaves out",
        "rejected": "members with a rejection at any stage, remembered ones included",
        "sent": "members' records acknowledged; those that take somebody off the list are counted in `departed` alone",
        "accepted": "records acknowledged, and not found rejected",
        "pending": "members in none of these accounts; 0 in a run that ended green (but for a dry run)",
        "departed": "members who left: opted out, missed by two complete scans, or out of the `where` (those are in "
        "`filtered` too)",
        "retry_of": "the run whose undelivered members this one tries again",
        "unverified": "accepted records that could not be read back in time; the next run looks again",
        "planned_mapping": "the mapping as planned, JSON: cleared tasks work with it",
        "planned_suite": "the validation rules as planned, JSON",
        "plan": "what the run reads and costs, in one sentence",
        "started_at": "when the run was opened first",
        "ended_at": "when its report closed it",
    },
    "sync_step": {
        "sync_run_id": "the run",
        "step": "`plan`, `extract`, `map`, `validate`, `gate`, `push`, `reconcile`, `report`",
        "slice": "number of the slice, from 0; -1 is the whole run",
        "state": "`running`, `done`, `failed`, `halted`, `waiting` (for a person)",
        "reason": "why it failed, halted or waits",
        "facts": "what the step counted, JSON",
        "started_at": "when its last attempt began",
        "ended_at": "when it ended",
    },
    "approval": {
        "sync_run_id": "the run; it has asked once, or this is what it asked last",
        "asked_at": "when it began to wait",
        "until": "when it stops waiting: nobody answered, and it is halted",
        "covers": "JSON: what an approval holds for, each limit (or `always`, `changed_mapping`) with so many members",
        "reasons": "JSON: why somebody is asked, a sentence each",
        "answer": "`approved`, `refused`, `timed_out`; null while it waits",
        "answered_at": "when",
        "answered_by": "Airflow's name of the user; null when the time was up",
    },
    "push_batch": {
        "id": "number of the batch",
        "sync_run_id": "the run",
        "slice": _SLICE,
        "records": "records in the request, at most 100",
        "size": "bytes of its records",
        "kind": "`contacts`, or `opt_outs`: identity and opt-out of rejected members, which no book counts",
        "state": "`sending`, `acknowledged`, `doubtful` (acknowledged, but Ometria counted rejected records), "
        "`refused` (split into halves), `unanswered` (its records go again)",
        "request_id": "Ometria's own id of the request, for its support",
        "reason": "why it was refused or not answered",
        "started_at": "when it was about to go",
        "ended_at": "when its answer was written down",
    },
    "contact_state": {
        "account": "the Ometria connection's id",
        "collection": "Ometria's `@collection`",
        "contact_id": "the contact's id: the mapping's `identity.id`",
        "state": _CONTACT_STATES,
        "reason": "why it is filtered or rejected, or departed",
        "fingerprint": "digest of the record last acknowledged",
        "source_digest": "digest of the customer last looked at, under mapping and rules",
        "filled": "bitmap of the remote fields that the record last acknowledged fills",
        "snapshot_at": "when that record was read from Antavo",
        "sync_run_id": "the run that wrote this row last",
        "push_batch_id": "the request that carried the record last",
        "changed_at": "when this row changed last",
        "consent_digest": "digest of the consent group last acknowledged",
        "opted_out_at": "when we last sent that the member opted out of marketing; never taken back",
        "sms_opted_out_at": "the same of SMS",
        "held": "why an opt-in is held back from Ometria",
        "details_at": "when the customer's details (`extensions.*`) were read",
        "absent_run_id": "the complete scan that first missed the customer; empty while Antavo has it",
        "list_id": "the Ometria list that the contact was put on",
        "suspect": "the path of a late error that may be this record's, until it is read back; `*`: its run ended "
        "before it looked at the log; `+`: `verify: full` wants it read back",
    },
    "remote_field": {
        "account": "the Ometria connection's id",
        "collection": "Ometria's `@collection`",
        "name": "the remote field",
        "bit": "its bit in `contact_state.filled`",
        "silent": "it arrived in none of the contacts that were read back when it was looked at last: it convicts "
        "no record",
    },
    "rejection": {
        "id": "number of the rejection",
        "sync_run_id": "the run",
        "slice": _SLICE,
        "contact_id": "the contact's id; `antavo:<id>` when the mapping finds none",
        "stage": "`mapping`, `validation`, `push`, `ometria`",
        "field": "the remote field at fault, where one is known",
        "reason": "why, without the value",
        "created_at": "when it was found",
    },
    "rule_result": {
        "id": "number of the result",
        "sync_run_id": "the run",
        "slice": _SLICE,
        "rule": "the rule's name, such as `email: match_regex`",
        "kind": "`row` or `table`",
        "severity": "`critical`, `warning` or `info`",
        "failed": "how many rows fail; 1 for a table rule that does not hold",
        "contact_ids": "the first thousand ids that fail, JSON",
        "detail": "the figures in words",
    },
    "rate_budget": {
        "account": "the connection's id, Antavo's or Ometria's",
        "bucket": "`requests` (Antavo), `push` or `data` (Ometria)",
        "next_at": "seconds since 1970, by the database's clock",
    },
    "cursor": {
        "account": "the connection's id",
        "collection": "Ometria's `@collection`; empty for what concerns the whole account",
        "name": "what is read: `customers` (changed ones), `opt_out` (events), `unsubscribes`; of a workflow file "
        "`collected:<name>`, `swept:<name>` (as far back as events are wanted), and `workflow:<name>`, the time from "
        "which on `start: now` mails",
        "at": "everything up to this time was read",
        "sync_run_id": "the run that read it; 0: a run of campaigns",
    },
    "error_look": {
        "account": "the Ometria connection's id",
        "looked_at": "when the error log was read last",
        "entries": "what it held then, in its order: message and path of each, JSON",
    },
    "late_error": {
        "id": "number of the error",
        "account": "the Ometria connection's id",
        "since": "the look before, which did not show it",
        "until": "the look that showed it",
        "message": "Ometria's words",
        "path": "where in the record, such as `root > lastname`; empty: anywhere",
        "count": "how many such errors came; 0: more may have come than the log shows",
        "overflow": "true: the log was full, so that more of this path may have come",
    },
    "unsubscribe": {
        "account": "the Ometria connection's id",
        "who": "keyed digest of an e-mail address, profile id, customer id or contact id",
        "at": "when",
    },
    "event_inbox": {
        "id": "number of the event here",
        "account": "the Antavo connection's id",
        "event_id": "Antavo's id of the event",
        "action": "Antavo's action id, such as `reward`",
        "customer_id": "whom it is about",
        "occurred_at": "the event's own time",
        "received_at": "when it was put here",
        "source": "`webhook` or `asked`: how it came first",
        "body": "the event as JSON, until every delivery of it is done",
        "done_at": "when the last of them was",
    },
    "event_delivery": {
        "id": "number of the delivery",
        "account": "the Antavo connection's id",
        "event_id": "Antavo's id of the event",
        "workflow": "the workflow file's name without `.yaml`",
        "state": "`waiting`, `sending`, `acknowledged`, `filtered`, `expired`, `skipped`, `rejected`",
        "reason": "why it is not mailed, or has not been yet",
        "custom_event_id": "the id that it has in Ometria",
        "run_id": "Airflow's id of the run that wrote this row last",
        "attempts": "how many requests carried it",
        "created_at": "when it was collected",
        "updated_at": "when this row changed last",
        "acknowledged_at": "when Ometria acknowledged it",
    },
    "campaign_run": {
        "account": "the Antavo connection's id",
        "run_id": "Airflow's id of the run, which had something to deliver",
        "facts": "what it asked each API for, and what Ometria's error log gained that may be about its events",
        "ended_at": "when it was written down",
    },
    "webhook_refusal": {
        "id": "number of the refusal; the latest 1,000 are kept",
        "account": "the Antavo connection's id",
        "event_id": "the event that the webhook was about, as its sender said",
        "reason": "why it was refused",
        "refused_at": "when",
    },
    "webhook_token": {
        "digest": "digest of the token's `jti`",
        "event_id": "the event that it came with; with another one it is refused",
        "expires_at": "when the token expires, and the row goes",
    },
    "incident": {
        "id": "number of the incident",
        "dag_id": "the DAG that it is about",
        "topic": "`sync`, `approval`, `campaign`; a DAG has one open incident of each",
        "kind": "`red`, `stale`, `approval`, `campaign`: the runbook has a section for each",
        "sync_run_id": "the run that shows it, if one does",
        "words": "what is wrong, in a sentence",
        "opened_at": "when it was seen first",
        "claimed_at": "when a process began to tell people; after ten minutes another one may",
        "told_at": "when people were told; empty: nobody yet",
        "over_at": "when it was seen to be over",
        "over_told_at": "when people were told so",
        "failure": "why nobody could be told, or which service did not take it",
    },
    "watched_schedule": {
        "dag_id": "the DAG",
        "schedule": "cron expression or preset",
        "timezone": "its time zone",
        "since": "since when it is in force: what never ran is late from then on",
    },
    "cached_reward": {
        "account": "the Antavo connection's id",
        "reward_id": "Antavo's id of the reward",
        "body": "the reward as Antavo gave it, as JSON",
        "read_at": "when; after ten minutes it is asked for again",
    },
    "installation": {
        "host": "the machine's name",
        "role": "what works there: `worker`, `triggerer`, `api-server`",
        "version": "of this package",
        "first_seen_at": "when it began to work there",
        "seen_at": "when it was last at work, to the minute; after a week it is forgotten",
    },
}


def page() -> str:
    """Return the page.

    :raises ValueError: when `MEANINGS` and the models differ.
    """
    tables = {mapper.class_.__tablename__: mapper.class_ for mapper in models.Base.registry.mappers}
    if MEANINGS.keys() != tables.keys():
        raise ValueError(f"describe the tables {sorted(MEANINGS.keys() ^ tables.keys())}")
    sections = [_section(name, tables[name]) for name in MEANINGS]
    return markdown.page("Ledger", "plugins/ometria_provider/ledger/models.py", _INTRO, *sections)


def _section(name: str, model: Any) -> str:
    meanings, columns = MEANINGS[name], model.__table__.columns
    if meanings.keys() != {column.name for column in columns}:
        raise ValueError(f"describe the columns {sorted(meanings.keys() ^ {c.name for c in columns})} of {name}")
    rows = [
        (
            f"**{markdown.code(column.name)}**" if column.primary_key else markdown.code(column.name),
            _type(column) + (", may be null" if column.nullable else ""),
            meanings[column.name],
        )
        for column in columns
    ]
    text = " ".join(model.__doc__.split())
    return f"## {name}\n\n{text}\n\n" + markdown.table(("column", "type", "what it holds"), rows)


def _type(column: Any) -> str:
    kind = type(column.type).__name__
    names = {
        "BigInteger": "whole number",
        "Integer": "whole number",
        "String": "text",
        "Text": "text",
        "Boolean": "yes or no",
        "UtcDateTime": "time",
        "JSON": "JSON",
        "LargeBinary": "bytes",
        "Double": "number",
    }
    return names[kind]
