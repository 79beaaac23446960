"""Judging one chunk of contact records by a suite, with Great Expectations.

A chunk is at most 50,000 customers. **A table rule, and whatever a row rule compares between rows** (`to_be_unique`,
`to_be_increasing`, z-scores), **is judged per chunk**, not over the whole run: `expect_table_row_count_to_be_between`
with `max_value` 60,000 always holds, and one e-mail shared across two chunks is not noticed. Counts and shares over the
whole run are the mapping's `limits`.

Only the position of a row leaves this module, never a value: not in results, not in errors, not in logs.
"""

from __future__ import annotations

import builtins
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from ometria_provider.exceptions import Misconfigured
from ometria_provider.validation.quiet import import_great_expectations
from ometria_provider.validation.rules import Rule
from ometria_provider.validation.suites import Suite

if TYPE_CHECKING:
    import pandas as pd

# COMPLETE holds every failing row's index (the index of our DataFrame is the row's position); values are left out, and
# so is the query that would find the rows again, which costs more than all the rest.
RESULT_FORMAT: Final = {
    "result_format": "COMPLETE",
    "exclude_unexpected_values": True,
    "return_unexpected_index_query": False,
    "include_unexpected_rows": False,
    "partial_unexpected_count": 0,
}
# The rule types whose observed value counts rows or columns, and so tells nothing about anybody.
_COUNTS: Final = re.compile(r"expect_(table_(row|column)_count|column_(proportion_of|unique_value_count))_")


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What one rule said about one chunk.

    :param rule: the rule's name.
    :param kind: `row`: `rows` lists who failed. `table`: it judged the chunk as a whole.
    :param severity: `critical`, `warning` or `info`.
    :param failed: how many rows failed; of a table rule 1 when it does not hold; 0 when the rule holds.
    :param rows: positions of the failing rows in the columns given, ascending.
    :param detail: the figures in words, without any value of a record.
    """

    rule: str
    kind: Literal["row", "table"]
    severity: str
    failed: int
    rows: list[int] = field(default_factory=list)
    detail: str = ""


def validate(suite: Suite, columns: dict[str, list[Any]]) -> list[RuleResult]:
    """Judge one chunk of records; one result for each rule, in the suite's order, also of rules that hold.

    Without rules it returns at once, and Great Expectations is not imported.

    :param columns: remote field → its values, one per row, None where the field is empty. All lists are of one length.
        The identity (`id`, `email`, `customer_id`) is always among them; columns that no rule needs are not looked at.
    :raises Misconfigured: a rule cannot be applied (an argument of a wrong type, a column that is not there, values
        that it cannot compare). A rule that failed to run is never taken for one that holds.
    """
    if not suite.rules:
        return []
    for rule in suite.rules:
        for column in rule.columns:
            if column not in columns:
                raise Misconfigured(f"{rule.place}: the records have no column {column!r}: map it, or remove the rule.")
    if len({len(values) for values in columns.values()}) != 1:
        raise ValueError("columns differ in length: positions of rows would mean nothing")
    import_great_expectations()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations and pandas' advice, meant for who calls them by hand
        outcomes = _judge(suite.rules, _frame(suite, columns))
    return [_result(rule, outcome, len(columns["id"])) for rule, outcome in zip(suite.rules, outcomes, strict=True)]


def _frame(suite: Suite, columns: dict[str, list[Any]]) -> pd.DataFrame:
    """Make the table: only the columns that are needed, and values as they are.

    Object columns keep 19-digit numbers and None as they are, and keep type rules row rules (on typed columns Great
    Expectations judges the column's type at once and names no row).
    """
    import pandas as pd

    names = tuple(columns) if suite.needs_whole_table else suite.columns
    rows = pd.RangeIndex(len(columns["id"]))  # also when no rule judges a column: then the rows alone are counted
    return pd.DataFrame({name: pd.Series(columns[name], dtype=object) for name in names}, index=rows)


def _judge(rules: Sequence[Rule], frame: pd.DataFrame) -> list[Any]:
    """Run the rules; Great Expectations' results in the order of `rules` (its own order is another one).

    The validator is used without a data context: with one, Great Expectations hashes the whole table, twice, to name
    it, which takes longer than judging it.
    """
    from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
    from great_expectations.validator.validator import Validator

    configurations = [_configuration(rule, position) for position, rule in enumerate(rules)]
    validator = Validator(execution_engine=PandasExecutionEngine(batch_data_dict={"chunk": frame}))
    validator.metrics_calculator.show_progress_bars = False
    runtime: dict[str, Any] = {"result_format": RESULT_FORMAT}
    found: list[Any] = validator.graph_validate(configurations=configurations, runtime_configuration=runtime)
    by_position = {outcome.expectation_config.meta["position"]: outcome for outcome in found}
    return [by_position.get(position) for position in range(len(rules))]


def _configuration(rule: Rule, position: int) -> Any:
    """Make Great Expectations' form of a rule, with its arguments checked by it."""
    from great_expectations.compatibility.pydantic import ValidationError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.metadata_types import FailureSeverity

    configuration = ExpectationConfiguration(
        type=rule.type,
        kwargs=dict(rule.kwargs),
        severity=FailureSeverity(rule.severity),
        meta={"position": position},
    )
    try:
        configuration.to_domain_obj()
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise Misconfigured(f"{rule.place}: {wrong}. Correct the rule's kwargs.") from None
    return configuration


def _result(rule: Rule, outcome: Any, rows: int) -> RuleResult:
    if outcome is None or _raised(outcome.exception_info):
        raise _cannot_be_applied(rule, outcome)
    result = outcome.result
    if rule.kind == "row":
        failing = result.get("unexpected_index_list")
        if failing is None or len(failing) != result["unexpected_count"]:
            raise _cannot_be_applied(rule, outcome)
        detail = f"{len(failing)} of {rows} rows fail"
        return RuleResult(rule.name, "row", rule.severity, len(failing), sorted(map(int, failing)), detail)
    holds = bool(outcome.success)
    detail = f"{'holds' if holds else 'does not hold'} for {rows} rows"
    observed = result.get("observed_value")
    if _COUNTS.match(rule.type) and observed is not None:
        detail += f", observed {float(observed):.6g}"
    return RuleResult(rule.name, "table", rule.severity, 0 if holds else 1, [], detail)


def _raised(exception_info: dict[str, Any]) -> bool:
    """Whether the rule raised: the info is that of one exception, or of several by metric."""
    if "raised_exception" in exception_info:
        return bool(exception_info["raised_exception"])
    return bool(exception_info)


def _cannot_be_applied(rule: Rule, outcome: Any) -> Misconfigured:
    """Word the error without the exception's own text, which may quote a value: only its class is told."""
    trace = str(outcome.exception_info).replace("\\n", "\n") if outcome else ""
    classes = (getattr(builtins, name, None) for name in re.findall(r"^(\w+)(?=:|$)", trace, re.MULTILINE))
    raised = [found.__name__ for found in classes if isinstance(found, type) and issubclass(found, Exception)]
    cause = f" ({raised[0]})" if raised else ""
    return Misconfigured(
        f"{rule.place}: Great Expectations cannot apply the rule to the records{cause}. Compare its kwargs and "
        "conditions with what the field holds: dates and times are text, and a field of mixed types needs a "
        "transform in the mapping."
    )
