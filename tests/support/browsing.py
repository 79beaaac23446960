"""Airflow's UI in Debian's Chromium, signed in: for tests that walk the pages, each adding its own steps.

Set `OMETRIA_IMAGES` to a folder (`make images`) and `picture` keeps what is seen, for the documentation; else it keeps
nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from launcher.api import Airflow, Login
from live import Live

#: A folder for pictures; without it none is taken.
IMAGES = os.environ.get("OMETRIA_IMAGES")
#: A name of this machine that no browser trusts without TLS, as it does 127.0.0.1.
ELSEWHERE = "airflow.test"
#: Milliseconds to wait for what should be there.
PATIENCE = 60_000


class Browsing:
    """A signed-in browser that shows the pages inside Airflow's.

    :param live: the Airflow with its sandbox.
    """

    def __init__(self, live: Live, airflow: Airflow, page: Any) -> None:
        self.live, self.airflow, self.page = live, airflow, page
        self.complaints: list[str] = []
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _listen(self, message: Any) -> None:
        """Keep what the browser complains of about our pages: a refused style, a script that failed."""
        if message.type == "error" and "/ometria/" in message.location.get("url", ""):
            self.complaints.append(message.text)

    def sign_in(self) -> None:
        """Sign in where a page sends who is signed out; end on that page."""
        login = Login.read(self.live.home)
        self.page.goto(f"{self.airflow.url}/ometria/")
        self.page.wait_for_url("**/auth/login**")
        self.page.fill("input[name=username]", login.user)
        self.page.fill("input[name=password]", login.password)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url("**/ometria/")

    def open(self, page: str, heading: str) -> Any:
        """Show a page inside Airflow's, and return its frame.

        :param page: what follows `/ometria`.
        :param heading: what its heading begins with.
        """
        self.page.goto(f"{self.airflow.url}/plugin/ometria-sync/ometria{page}")
        return self.frame(heading)

    def frame(self, heading: str) -> Any:
        """Return the frame when it shows a heading."""
        frame = self.page.frame_locator("iframe")
        frame.get_by_role("heading", name=heading, level=1).wait_for()
        return frame

    def contact(self, id: str) -> dict[str, Any]:
        """Return a contact of the mapping as the sandbox's Ometria holds it."""
        found: dict[str, Any] = self.live.sandbox.control(f"contacts/customers/{id}")["contact"]
        return found

    def theme(self, name: str) -> None:
        """Choose Airflow's light or dark theme."""
        self.page.evaluate("name => localStorage.setItem('theme', name)", name)
        self.page.reload()

    def turn(self, name: str) -> None:
        """Choose Airflow's light or dark theme in another tab, and wait until this one has followed."""
        tab = self.page.context.new_page()
        tab.goto(f"{self.airflow.url}/ometria/static/icon.svg")
        tab.evaluate("name => localStorage.setItem('theme', name)", name)
        tab.close()
        self.page.wait_for_function("name => document.documentElement.classList.contains(name)", arg=name)

    def is_dark(self, frame: Any) -> bool:
        """Say which of the two themes' colours a page of ours has: background, text, and a button."""
        colours = frame.locator("body").evaluate(
            "body => [body, body.querySelector('main button, main a')].flatMap(at => {"
            " const style = getComputedStyle(at); return [style.backgroundColor, style.color] })"
        )
        back, text = colours[:2]
        known = {("rgb(255, 255, 255)", "rgb(27, 27, 31)"): False, ("rgb(17, 17, 19)", "rgb(236, 236, 240)"): True}
        assert colours[3] != back, "it can be read"
        return known[back, text]

    def elsewhere(self, page: str) -> Any:
        """Show a page by itself, signed in, under a name of this machine that is not trusted without TLS.

        :param page: what follows `/ometria`.
        """
        context = self.page.context
        cookies = [cookie for cookie in context.cookies() if cookie["domain"] == "127.0.0.1"]
        context.add_cookies([{**cookie, "domain": ELSEWHERE} for cookie in cookies])
        tab = context.new_page()
        tab.goto(f"{self.airflow.url.replace('127.0.0.1', ELSEWHERE)}/ometria{page}")
        return tab

    def picture(self, name: str) -> None:
        """Keep what is seen, when pictures are asked for."""
        if IMAGES:
            Path(IMAGES).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=str(Path(IMAGES) / f"{name}.png"))


@contextlib.contextmanager
def browsing(live: Live, airflow: Airflow) -> Iterator[Browsing]:
    """Yield a signed-in browser."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium's own sandbox does not work for root.
        arguments = ["--no-sandbox"] if os.getuid() == 0 else []
        arguments += [f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1", "--no-proxy-server"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        context = browser.new_context(viewport={"width": 1360, "height": 900}, color_scheme="light")
        context.set_default_timeout(PATIENCE)
        made = Browsing(live, airflow, context.new_page())
        made.sign_in()
        yield made
        browser.close()
