"""Validate: which of the records that are to be sent may be."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from ometria_provider.delivery.consent import opts_out, splice
from ometria_provider.ledger import findings
from ometria_provider.operators.base import SyncOperator, Work
from ometria_provider.operators.consent import NOT_SENT

if TYPE_CHECKING:
    import pyarrow as pa
    from airflow.sdk import Context


class ValidateOperator(SyncOperator):
    """Run the validation suite over a slice's records, if any of them is to be sent."""

    step = "validate"

    def work(self, work: Work, facts: dict[str, Any], context: Context) -> None:  # noqa: ARG002 (the base's signature)
        """Judge each mapped chunk; keep results, rejections and the rules that stop the run."""
        findings.drop_rejections(work.ledger, work.run.id, work.slice, "validation")
        work.files.begin("validate")
        findings.drop_rule_results(work.ledger, work.run, work.slice)
        facts.update(rejected=0, rejected_known=0, warnings=0, stopped=[])
        refused: dict[str, list[tuple[int, str, list[str]]]] = {}
        for index, chunk in enumerate(work.files.read_manifest("map")["chunks"]):
            if chunk["mapped"]:
                table = work.files.read_chunk("map", index, ["contact_id", "action", "known", "body", "group"])
                refused[str(index)] = self._judge(work, table, facts)
        work.files.write_manifest("validate", {"refused": refused})

    def _judge(self, work: Work, table: pa.Table, facts: dict[str, Any]) -> list[tuple[int, str, list[str]]]:
        """Return the rows that were to be sent and may not, each with its reason and the fields at fault."""
        actions, groups = table["action"].to_pylist(), table["group"].to_pylist()
        bodies = [body and splice(body, group) for body, group in zip(table["body"].to_pylist(), groups, strict=True)]
        if "send" not in actions or not work.suite.rules:
            return []
        from ometria_provider.mapping.layout import decode_columns
        from ometria_provider.validation.run import validate

        rows = [row for row, body in enumerate(bodies) if body is not None]
        columns = {rule.name: ", ".join(rule.columns) for rule in work.suite.rules}
        names = ("id", "email", "customer_id", *work.mapping.remotes)
        wanted = names if work.suite.needs_whole_table else {"id", *work.suite.columns}.intersection(names)
        results = validate(work.suite, decode_columns([bodies[row] for row in rows], wanted, work.mapping.mode))
        ids = table["contact_id"].to_pylist()
        refused: dict[int, tuple[str, str]] = {}
        at_fault: defaultdict[int, set[str]] = defaultdict(set)
        for result in results:
            failing = [rows[position] for position in result.rows]
            findings.keep_rule_result(work.ledger, work.run, work.slice, result, [ids[row] for row in failing])
            if result.severity != "critical":
                facts["warnings"] += result.failed
            elif result.kind == "table":
                if result.failed:
                    facts["stopped"].append(f"Rule {result.rule} failed: {result.detail}.")
            else:
                to_send = [row for row in failing if actions[row] == "send"]
                refused.update({row: (columns[result.rule], result.rule) for row in to_send if row not in refused})
                for row in to_send:
                    at_fault[row].update(columns[result.rule].split(", "))
        known = table["known"].to_pylist()
        facts["rejected"] += len(refused)
        facts["rejected_known"] += sum(known[row] for row in refused)
        findings.reject(
            work.ledger,
            work.run.id,
            work.slice,
            "validation",
            [(ids[row], column, f"fails the rule {rule}") for row, (column, rule) in refused.items()]
            + [
                (ids[row], findings.OPT_OUT, NOT_SENT)
                for row in refused
                if "id" in at_fault[row] and groups[row] and any(opts_out(groups[row]))
            ],
        )
        return [
            (row, f"{column}: fails the rule {rule}", sorted(at_fault[row])) for row, (column, rule) in refused.items()
        ]
