"""The pages in a real Airflow and a real browser: signed in, every page, light and dark, and what a button does.

`browser` is shared by the tests of this file, which add to what the ones before them left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from browsing import Browsing, browsing
from live import Live
from ometria_provider.sandbox.process import running
from ometria_provider.sandbox.settings import SandboxSettings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

DAG = "contact_sync__customers"
BAD = {"first_name": "Ada", "email": "ada@example.test", "birth_date": "2999-01-01", "status": "active"}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browsing]:
    with running(SandboxSettings(port=0, members=200, validation_delay_ms=100)) as sandbox:
        live = Live(tmp_path_factory.mktemp("pages"), sandbox)
        with live.up() as airflow, browsing(live, airflow) as found:
            yield found
            assert found.complaints == []


@pytest.fixture(scope="module")
def bad(browser: Browsing) -> str:
    """Return a member whom the first run rejects; that run has ended."""
    (added,) = browser.live.sandbox.control("members", {"add": [BAD]})["added"]
    browser.airflow.pause(DAG, paused=False)
    run_id = browser.airflow.trigger(DAG, {})
    ended(browser, run_id)
    return str(added)


def ended(browser: Browsing, run_id: str) -> None:
    state = browser.live.wait_for(
        lambda: (
            browser.airflow.run_state(DAG, run_id)
            if browser.airflow.run_state(DAG, run_id) in ("success", "failed")
            else None
        )
    )
    assert state == "success"


def number(browser: Browsing, state: str = "succeeded") -> int:
    query = f"SELECT max(id) AS id FROM sync_run WHERE dag_id = '{DAG}' AND state = '{state}' AND retry_of IS NULL"
    return int(browser.live.query(query)[0]["id"])


def test_overview_is_in_airflow_s_navigation(browser: Browsing, bad: str) -> None:
    browser.page.goto(browser.airflow.url)
    browser.page.get_by_text("Ometria sync").first.click()
    frame = browser.frame("Overview")
    assert frame.get_by_role("link", name="customers", exact=True).is_visible()
    assert frame.get_by_role("img", name=re.compile("Sent and rejected")).count() >= 1
    browser.picture("overview")
    frame.get_by_role("link", name=re.compile(r"^Run \d+")).first.click()
    browser.frame("Run")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_follow_airflow_s_theme(browser: Browsing, bad: str, theme: str) -> None:
    browser.open("/runs", "Runs")
    browser.theme(theme)
    frame = browser.frame("Runs")
    back = frame.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    assert (back == "rgb(255, 255, 255)") == (theme == "light")
    browser.picture(f"runs-{theme}")
    browser.open(f"/runs/{number(browser)}", "Run")
    browser.picture(f"run-{theme}")
    browser.open(f"/runs/{number(browser)}/rejections", "Rejections")
    browser.picture(f"rejections-{theme}")


def test_pages_work_by_keyboard(browser: Browsing, bad: str) -> None:
    browser.page.goto(f"{browser.airflow.url}/ometria/runs")
    browser.page.keyboard.press("Tab")
    assert browser.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    browser.page.keyboard.press("Enter")
    assert browser.page.evaluate("document.activeElement.id") == "content"
    browser.page.get_by_label("State").focus()
    browser.page.keyboard.type("fail")
    browser.page.keyboard.press("Enter")
    browser.page.get_by_role("button", name="Show").focus()
    browser.page.keyboard.press("Enter")
    browser.page.wait_for_url("**state=failed**")
    browser.page.get_by_text("No such run.").wait_for()


def test_task_page_leads_to_the_run_and_back(browser: Browsing, bad: str) -> None:
    page: Any = browser.page
    frame = browser.open(f"/runs/{number(browser)}", "Run")
    frame.get_by_role("link", name="gate").click()
    page.wait_for_url(f"**/dags/{DAG}/runs/*/tasks/gate**")
    (run_id,) = re.findall(r"/runs/([^/]+)/tasks", page.url)
    # What Airflow gives its task page to show as buttons.
    links = browser.airflow._call("GET", f"/api/v2/dags/{DAG}/dagRuns/{run_id}/taskInstances/gate/links")
    target = links["extra_links"]["Ometria sync"]
    assert "/ometria/of/" in target
    page.goto(browser.airflow.url + target)
    browser.frame(f"Run {number(browser)} of")


def test_retry_from_the_page_delivers_who_was_rejected(browser: Browsing, bad: str) -> None:
    run = number(browser)
    frame = browser.open(f"/runs/{run}", "Run")
    frame.get_by_text("lies in the future").first.wait_for()
    browser.live.sandbox.control("members", {"change": [bad], "set": {"birth_date": "1999-01-01"}})
    frame.get_by_role("button", name="Retry what is undelivered").click()
    frame.get_by_role("status").wait_for()
    browser.picture("retry")
    started = frame.get_by_role("status").get_by_role("link").inner_text()
    ended(browser, started)
    contact = browser.live.sandbox.control(f"contacts/customers/{bad}")["contact"]
    assert contact["date_of_birth"] == "1999-01-01"
    frame = browser.open(f"/runs/{run}", "Run")
    frame.get_by_role("link", name=re.compile("retried by run")).wait_for()
