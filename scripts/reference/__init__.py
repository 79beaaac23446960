"""The pages of docs/reference/, each written from the code that it speaks of."""

from __future__ import annotations

from collections.abc import Callable

from reference import answers, cli, configuration, connections, consent, dags, ledger, mapping, params, rules, sandbox

#: File name in docs/reference/ → what writes its text.
PAGES: dict[str, Callable[[], str]] = {
    "answers.md": answers.page,
    "cli.md": cli.page,
    "configuration.md": configuration.page,
    "connections.md": connections.page,
    "consent.md": consent.page,
    "dags.md": dags.page,
    "ledger.md": ledger.page,
    "mapping.md": mapping.page,
    "params.md": params.page,
    "rules.md": rules.page,
    "sandbox.md": sandbox.page,
}
