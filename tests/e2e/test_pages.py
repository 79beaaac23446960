"""The pages in a real Airflow and a real browser: signed in, every page, light and dark, and what a button does.

`browser` is shared by the tests of this file, which add to what the ones before them left.
"""

from __future__ import annotations

import difflib
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
CLAIMS = 20
SHOWN = ("email", "firstname", "lastname", "phone_number", "mm:favourite_store")
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


def delivered(browser: Browsing) -> dict[str, Any]:
    """Return a contact that Ometria has, whose texts the pictures' fonts can show."""
    rows = browser.live.query("SELECT contact_id FROM contact_state WHERE state = 'accepted' ORDER BY contact_id")
    contacts = (browser.contact(row["contact_id"]) for row in rows)
    return next(each for each in contacts if all(str(each.get(name) or "\u4e00").isascii() for name in SHOWN))


def number(browser: Browsing, state: str = "succeeded") -> int:
    query = f"SELECT max(id) AS id FROM sync_run WHERE dag_id = '{DAG}' AND state = '{state}' AND retry_of IS NULL"
    return int(browser.live.query(query)[0]["id"])


def test_overview_is_in_airflow_s_navigation(browser: Browsing, bad: str) -> None:
    browser.page.goto(browser.airflow.url)
    entry = browser.page.get_by_role("link", name="Ometria sync")
    assert entry.locator("div").evaluate("name => name.scrollWidth <= name.clientWidth"), "the name is cut"
    entry.click()
    frame = browser.frame("Overview")
    assert frame.get_by_role("link", name="customers", exact=True).is_visible()
    assert frame.get_by_role("img", name=re.compile("Sent and rejected")).count() >= 1
    frame.get_by_role("link", name=re.compile(r"^Run \d+")).first.click()
    browser.frame("Run")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_follow_airflow_s_theme(browser: Browsing, bad: str, theme: str) -> None:
    browser.open("/runs", "Runs")
    browser.theme(theme)
    frame = browser.frame("Runs")
    assert browser.is_dark(frame) == (theme == "dark")
    browser.picture(f"runs-{theme}")
    frame = browser.open(f"/runs/{number(browser)}", "Run")
    assert browser.is_dark(frame) == (theme == "dark")
    browser.picture(f"run-{theme}")
    assert browser.is_dark(browser.open("/", "Overview")) == (theme == "dark")
    browser.open(f"/runs/{number(browser)}/rejections", "Rejections")
    browser.picture(f"rejections-{theme}")
    browser.theme("light")


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
    # The button that Airflow makes of the operator's link.
    page.get_by_role("link", name="Details", exact=True).click()
    button = page.locator("a[href*='/ometria/of/']")
    assert button.inner_text() == "Ometria sync"
    button.click()
    browser.frame(f"Run {number(browser)} of")


def test_customer_is_found_by_an_address_that_gets_into_no_url(browser: Browsing, bad: str) -> None:
    page = browser.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    contact = delivered(browser)
    frame = browser.open("/customers", "Customer")
    frame.get_by_label("e-mail address").fill(contact["email"])
    frame.get_by_role("button", name="Look up").click()
    frame = browser.frame(f"Customer {contact['id']}")
    assert not [url for url in asked if "@" in url or "%40" in url]
    frame.get_by_role("button", name="Explain now").click()
    frame.get_by_role("row", name=re.compile(f"^email .*{re.escape(contact['email'])}.* yes")).wait_for()
    frame.get_by_role("heading", level=1).scroll_into_view_if_needed()
    browser.picture("customer")


def test_campaign_shows_what_became_of_claims(browser: Browsing, bad: str) -> None:
    (left_out,) = browser.live.query("SELECT contact_id FROM contact_state WHERE state = 'filtered' LIMIT 1")
    asked = [{"count": CLAIMS}, {"count": 1, "customer": left_out["contact_id"]}]
    browser.live.post_webhooks(browser.airflow)
    claims = sum(len(browser.live.sandbox.control("claims", {"within": 0, **each})["ids"]) for each in asked)
    settled = "SELECT count(*) AS n FROM event_delivery WHERE state IN ('acknowledged', 'skipped', 'rejected')"
    browser.live.wait_for(lambda: browser.live.query(settled)[0]["n"] == claims)
    frame = browser.open("/", "Overview")
    frame.get_by_role("link", name="reward_claimed").click()
    frame = browser.frame("Campaign reward_claimed")
    frame.get_by_role("row", name=re.compile("outside the contact mapping's where")).wait_for()
    browser.picture("campaign")


def test_retry_from_the_page_delivers_who_was_rejected(browser: Browsing, bad: str) -> None:
    run = number(browser)
    frame = browser.open(f"/runs/{run}", "Run")
    frame.get_by_text("lies in the future").first.wait_for()
    browser.live.sandbox.control("members", {"change": [bad], "set": {"birth_date": "1999-01-01"}})
    frame.locator("#content").focus()
    for _ in range(20):
        browser.page.keyboard.press("Tab")
        if frame.locator(":focus").inner_text() == "Retry what is undelivered":
            break
    browser.page.keyboard.press("Enter")
    frame.get_by_role("status").wait_for()
    browser.picture("retry")
    started = frame.get_by_role("status").get_by_role("link").inner_text()
    ended(browser, started)
    assert browser.contact(bad)["date_of_birth"] == "1999-01-01"
    frame = browser.open(f"/runs/{run}", "Run")
    frame.get_by_role("link", name=re.compile("retried by run")).wait_for()


def editor(browser: Browsing) -> Any:
    """Show the editor of the mapping, ready to be written into."""
    frame = browser.open("/mappings/customers", "customers")
    frame.locator("#difference").filter(has_text="nothing changed").wait_for()
    return frame


def test_preview_follows_what_is_written_and_asks_antavo_once(browser: Browsing) -> None:
    frame = browser.open("/mappings", "Mappings")
    frame.locator("code").first.evaluate("folder => { folder.textContent = '/opt/airflow/include/mappings' }")
    browser.picture("mappings")
    frame = editor(browser)
    frame.get_by_role("button", name="Preview on live members").click()
    frame.locator("#previewed table").first.wait_for()
    row = frame.locator("#rows tr").filter(has=browser.page.locator("input[value=firstname]"))
    name = row.locator("td.live").inner_text()
    before = pages_of_members(browser)
    transforms = row.get_by_label("Transforms", exact=True)
    transforms.fill("strip, upper")
    row.locator("td.live").filter(has_text=re.compile(f"^{re.escape(name.upper())}$")).wait_for()
    transforms.fill("strip, uper")
    frame.locator("#problems").get_by_text("unknown transform").wait_for()
    assert transforms.get_attribute("aria-invalid")
    assert frame.locator("#previewed").evaluate("place => place.classList.contains('old')")
    transforms.fill("strip")
    row.locator("td.live").filter(has_text=re.compile(f"^{re.escape(name)}$")).wait_for()
    assert pages_of_members(browser) == before
    browser.picture("mapping-light")
    browser.theme("dark")
    editor(browser)
    browser.picture("mapping-dark")
    browser.theme("light")


def pages_of_members(browser: Browsing) -> int:
    """Return how many pages of members Antavo was asked for."""
    asked = browser.live.sandbox.control("stats")["requests"]
    return sum(sum(codes.values()) for call, codes in asked.items() if call.endswith("GET /v1/customers"))


def test_what_is_written_while_a_save_is_on_its_way_is_not_lost(browser: Browsing) -> None:
    frame = editor(browser)
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    browser.page.route("**/mappings/customers/save", hold)
    description = frame.locator("[data-key=description]")
    description.fill("Members first")
    frame.locator("#difference").get_by_text("+description: Members first").wait_for()
    frame.get_by_role("button", name="Save").click()
    description.fill("Members second")
    browser.live.wait_for(lambda: held or browser.page.wait_for_timeout(50))
    held[0].continue_()
    frame.locator("#said").get_by_text("Saved").wait_for()
    browser.page.unroute("**/mappings/customers/save")
    # The file has what was sent; what came after is the difference, and can be saved too.
    frame.locator("#difference").get_by_text("-description: Members first").wait_for()
    frame.get_by_role("button", name="Save").click()
    frame.locator("#difference").filter(has_text="nothing changed").wait_for()
    assert "description: Members second\n" in browser.live.mapping.read_text()


def test_mapping_edited_saved_and_approved_on_the_pages_arrives(browser: Browsing) -> None:
    page = browser.page
    before = browser.live.mapping.read_text()
    contact = delivered(browser)
    frame = editor(browser)
    frame.get_by_text("All other keys").click()
    frame.locator("[data-key=approve]").select_option("always")
    frame.get_by_role("button", name="Add new field +").click()
    row = frame.locator("#rows tr").last
    row.get_by_label("Comes from").select_option("constant")
    row.get_by_label("Constant").fill("pages")
    row.get_by_label("Remote field").fill("edited_on")
    frame.get_by_role("button", name="Save").click()
    frame.locator("#said").get_by_text("Saved").wait_for()
    after = browser.live.mapping.read_text()
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    changed = [line for line in lines if line[0] in "+-"]
    assert changed == ["+   - {value: pages, remote: edited_on}", "+ approve: always"], "comments stay, and all else"

    run_id = browser.airflow.trigger(DAG, {})
    browser.live.wait_for(lambda: browser.live.query("SELECT 1 FROM sync_run WHERE state = 'awaiting_approval'"))
    for theme in ("dark", "light"):
        browser.theme(theme)
        frame = browser.open("/", "Overview")
        frame.get_by_text("A run waits for approval").wait_for()
        browser.picture(f"overview-{theme}")
    frame = browser.open(f"/runs/{number(browser, 'awaiting_approval')}", "Run")
    frame.get_by_role("link", name="What it would change").click()
    frame = browser.frame("What run")
    frame.get_by_role("row", name=re.compile("^edited_on")).first.wait_for()
    frame.get_by_role("heading", name="Members before and after").wait_for()
    browser.picture("changes")
    frame.get_by_role("link", name="approve or reject it in Airflow").click()
    approve = page.get_by_role("button", name="Approve")
    approve.wait_for()
    browser.picture("approve")
    assert "edited_on" not in browser.contact(contact["id"])
    approve.click()
    ended(browser, run_id)
    assert browser.contact(contact["id"])["edited_on"] == "pages"
