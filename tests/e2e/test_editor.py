"""The editor of a mapping where no page may write files: what *Download* gives, and what its buttons ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import ELSEWHERE, Browsing, browsing
from live import Live
from ometria_provider.sandbox.process import running
from ometria_provider.sandbox.settings import SandboxSettings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browsing]:
    with running(SandboxSettings(port=0, members=50)) as sandbox:
        live = Live(tmp_path_factory.mktemp("editor"), sandbox)
        live.environment["AIRFLOW__OMETRIA__MAPPINGS_EDITABLE"] = "False"
        with live.up() as airflow, browsing(live, airflow) as found:
            yield found
            assert found.complaints == []


def editor(browser: Browsing) -> Any:
    """Show the editor of the mapping, ready to be written into."""
    frame = browser.open("/mappings/customers", "customers")
    frame.locator("#difference").filter(has_text="nothing changed").wait_for()
    return frame


def described(browser: Browsing, frame: Any, words: str) -> str:
    """Write a description, and return what the file is to be then."""
    before = browser.live.mapping.read_text()
    (line,) = [line for line in before.splitlines() if line.startswith("description: ")]
    frame.locator("[data-key=description]").fill(words)
    return before.replace(line, f"description: {words}")


def downloaded(browser: Browsing, frame: Any) -> str:
    with browser.page.expect_download() as download:
        frame.get_by_role("button", name="Download customers.yaml").click()
    assert download.value.suggested_filename == "customers.yaml"
    return Path(download.value.path()).read_text()


def test_download_gives_what_the_form_says_with_all_comments(browser: Browsing) -> None:
    frame = editor(browser)
    before = browser.live.mapping.read_text()
    assert frame.get_by_role("button", name="Save").count() == 0
    assert downloaded(browser, frame) == before
    assert "#" in before
    assert downloaded(browser, frame) == before, "the second time as well"
    expected = described(browser, frame, "Members first")
    assert downloaded(browser, frame) == expected
    assert browser.live.mapping.read_text() == before


def test_download_after_a_colleague_saved_gives_what_was_typed(browser: Browsing) -> None:
    frame = editor(browser)
    before = browser.live.mapping.read_text()
    described(browser, frame, "Members second")
    frame.locator("#difference").get_by_text("+description: Members second").wait_for()
    expected = described(browser, frame, "Members third")
    browser.live.mapping.write_text(before + "# a colleague's\n")
    frame.locator("[data-key=description]").press("End")
    frame.locator("[data-key=description]").press_sequentially(" and last")
    expected = expected.replace("Members third", "Members third and last")
    frame.locator("#said").get_by_text("was changed meanwhile").wait_for()
    assert downloaded(browser, frame) == expected
    browser.live.mapping.write_text(before)
    assert browser.complaints, "the browser says that a check was answered 409"
    browser.complaints.clear()


def test_download_when_the_server_refuses_says_why_and_gives_nothing(browser: Browsing) -> None:
    frame = editor(browser)
    given: list[Any] = []

    def keep(download: Any) -> None:
        given.append(download)

    browser.page.on("download", keep)
    cookies = browser.page.context.cookies()
    browser.page.context.clear_cookies()
    try:
        frame.get_by_role("button", name="Download customers.yaml").click()
        frame.locator("#said").get_by_text("Nobody is signed in").wait_for()
    finally:
        browser.page.context.add_cookies(cookies)
        browser.page.remove_listener("download", keep)
    assert given == []
    browser.complaints.clear()


def test_buttons_ask_over_plain_http_too(browser: Browsing) -> None:
    page = browser.elsewhere("/mappings/customers")
    assert page.evaluate("window.isSecureContext") is False, "else the browser says more of where it comes from"
    page.get_by_role("button", name="Offer Ometria's lists").click()
    chosen = page.locator("select[data-key=list]")
    chosen.wait_for()
    assert len(chosen.locator("option").all()) > 1
    page.get_by_role("button", name="Look which fields members fill").click()
    page.locator("#looked").get_by_text("fields of the 50 newest members are offered").wait_for()
    page.get_by_role("button", name="Preview on live members").click()
    page.locator("#previewed table").first.wait_for()
    assert page.url.startswith(f"http://{ELSEWHERE}:")
    page.close()


def test_editor_works_by_keyboard(browser: Browsing) -> None:
    frame = editor(browser)
    frame.locator("[data-key=list]").focus()
    seen = []
    for _ in range(200):
        browser.page.keyboard.press("Tab")
        seen.append(frame.locator(":focus").evaluate("at => at.id || at.dataset.key || at.className"))
        if seen[-1] == "add":
            break
    wanted = {"load-lists", "mode", "description", "schedule", "load-fields", "kind", "loyalty", "transform"}
    assert wanted | {"add-transform", "remote", "up", "down", "remove", "add"} <= set(seen)
    browser.page.keyboard.press("Enter")
    assert frame.locator(":focus").get_attribute("class") == "loyalty", "a new row is ready to be written into"
    browser.page.keyboard.type("score")
    for _ in range(3):
        browser.page.keyboard.press("Tab")
    browser.page.keyboard.type("points_by_keyboard")
    frame.locator("#difference").get_by_text("{loyalty: score, remote: points_by_keyboard}").wait_for()


def test_editor_follows_airflow_s_theme_without_a_reload(browser: Browsing) -> None:
    frame = editor(browser)
    frame.locator("[data-key=description]").fill("not lost")
    assert browser.is_dark(frame) is False
    browser.turn("dark")
    assert browser.is_dark(frame) is True
    assert frame.locator("[data-key=description]").input_value() == "not lost", "the page is the same one"
    browser.turn("light")
    assert browser.is_dark(frame) is False
