"""A workflow's run, seen from outside: the sandbox's members claim rewards while it works, and its e-mails are read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from textwrap import indent
from typing import Any
from urllib.parse import quote

import requests
from ometria_provider.campaign_report import campaign_report, render
from ometria_provider.ledger import campaign_facts, cursors
from ometria_provider.ledger.campaign_runs import runs_since, told
from ometria_provider.ledger.engine import Ledger
from ometria_provider.workflows.model import Workflow

from launcher.errors import Broken

#: Members who claim before the run is started, and while it works.
BEFORE, DURING = 25, 15
#: Seconds from one claim to the next while the run works.
_EVERY = 0.1
_TIMEOUT = 30
_STATES = {"success": "succeeded"}


class Watch:
    """One run of a workflow.

    :param sandbox: root of the sandbox that stands in for its accounts; empty: they are real, and nobody claims.
    """

    def __init__(self, workflow: Workflow, sandbox: str) -> None:
        self._workflow, self._sandbox = workflow, sandbox
        self._sent_before = 0
        self._claimed = self._claims = 0
        self._began = datetime.now(UTC)
        self._emails: dict[str, Any] = {}

    def begin(self, ledger: Ledger) -> None:
        """Let members claim rewards, now and while the run works."""
        self._began = datetime.now(UTC)
        if not self._sandbox:
            return
        workflow = self._workflow
        self._see_first(ledger)
        self._control("settings", {"campaign_event_type": workflow.action.event_type})
        self._sent_before = self._control("emails")["sent"]
        names = {"action": workflow.trigger.event}
        root, _, named_in = (workflow.reward_id or "").rpartition(".")
        if root == "event.properties":
            names["named_in"] = named_in
        self._control("claims", {"count": BEFORE, **names})
        self._control("claims", {"count": DURING, "every": _EVERY, **names})

    def _see_first(self, ledger: Ledger) -> None:
        """Let the workflow be seen now, if it never was: `start: now` mails nobody about claims before that."""
        account, mark = self._workflow.connections.antavo, f"workflow:{self._workflow.name}"
        if cursors.get(ledger, account, "", mark) is None:
            now = datetime.now(UTC) - timedelta(seconds=1)  # events have whole milliseconds
            cursors.move(ledger, account, "", mark, at=now, run_id=0)

    def end(self) -> None:
        """Look at what the run left behind in the sandbox, while that is still there."""
        if not self._sandbox:
            return
        claims = self._control(f"claims?action={quote(self._workflow.trigger.event)}")
        self._claimed, self._claims = BEFORE + DURING - claims["to_come"], claims["claims"]
        self._control("claims", method="DELETE")
        self._control("validate", {})
        self._emails = self._control("emails?limit=1")

    def report(self, ledger: Ledger, run_id: str, state: str) -> str:
        """Return what became of the run's events, and one of the e-mails."""
        name, account = self._workflow.name, self._workflow.connections.antavo
        # In the Airflow of `make up` a scheduled run may have come first, and done the work.
        others = [each for each in runs_since(ledger, account, name, self._began) if each != run_id]
        report = campaign_report(ledger, account, name, run_id, *others)
        said = [f"Run {run_id} of workflow {name}: {_STATES.get(state, state)}"]
        if others:
            said.append(f"Meanwhile other runs delivered too, and are counted here: {', '.join(others)}.")
        if self._sandbox:
            said.append(
                f"{self._claimed} members claimed a reward in the sandbox, {BEFORE} of them before the run began."
            )
            late = self._claims - told(ledger, account, name)
            if 0 < late <= DURING:
                said.append(f"{late} of these came after the run had looked for events: the next run sends them.")
        facts = campaign_facts.facts_of(ledger, account, [run_id, *others])
        return "\n".join([*said, render(report, facts)]) + self._email()

    def _email(self) -> str:
        if not self._emails:
            return ""
        sent = self._emails["sent"] - self._sent_before
        if not sent:
            return "\n\nThe sandbox's campaign sent no e-mail."
        newest = self._emails["emails"][0]
        text = f"To: {newest['to']}\nSubject: {newest['subject']}\n\n{newest['text'].strip()}"
        head = f"The newest of {sent:,} e-mails that the sandbox's campaign made"
        return f"\n\n{head}\n{indent(text, '  | ', lambda _line: True)}"

    def _control(self, path: str, content: Any = None, *, method: str | None = None) -> Any:
        url = f"{self._sandbox}/_sandbox/{path}"
        try:
            with requests.Session() as session:
                session.trust_env = False  # no proxy between us and this machine
                how = method or ("GET" if content is None else "POST")
                answer = session.request(how, url, json=content, timeout=_TIMEOUT)
                answer.raise_for_status()
                return answer.json()
        except requests.RequestException as error:
            raise Broken(f"The sandbox at {self._sandbox} does not answer: {type(error).__name__}.") from error
