"""A whole demo of its own, and a real Chromium."""

import json
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from portal.demo.otp import PERIOD_SECONDS, current_code
from tests.e2e.chromium import find_chromium
from tests.folders import open_folder
from tests.portal.running import start_demo

ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT / "var" / "screenshots"
READY_SECONDS = 180
ZONE = ZoneInfo("Asia/Seoul")  # where the demo's people live, whatever the clock of this machine says
WHOLE_NODE = 8
"""GPUs of the demo's one node."""
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class RunningDemo:
    """A demo that is up. `accounts` is accounts.json."""

    url: str
    folder: Path
    accounts: list[dict]
    process: "subprocess.Popen[bytes]"
    log: Path
    variables: dict[str, str]
    used_codes: set[tuple[str, str]] = field(default_factory=set)

    def account(self, role: str, organisation: str = "") -> dict:
        """The first account with a role (and an organisation whose name contains a word)."""
        return next(a for a in self.accounts if role in a["roles"] and organisation in (a["organisation"] or ""))

    def code(self, account: dict) -> str:
        """A one-time code not used yet (the server takes each once, one period early or late)."""
        for shift in (0, PERIOD_SECONDS):
            code = current_code(account["totp_secret"], at=time.time() + shift)
            if (account["email"], code) not in self.used_codes:
                self.used_codes.add((account["email"], code))
                return code
        time.sleep(PERIOD_SECONDS)
        return self.code(account)


def _free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"the demo ended with {process.returncode}:\n{log.read_text()[-3000:]}")
        try:
            if opener.open(f"{url}/readyz", timeout=5).status == 200:
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"the demo was not ready within {READY_SECONDS} s:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="package")
def demo() -> Iterator[RunningDemo]:
    """`make demo` with one node, on a free port, in a folder of its own."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    with open_folder("bitgoeul-e2e-") as top:
        folder, log = top / "demo", top / "demo.log"
        variables = {"PORT": str(port), "DEMO_DIR": str(folder), "NODES": "1"}
        process = start_demo(log, **variables)
        try:
            _wait_until_ready(url, process, log)
            accounts = json.loads((folder / "accounts.json").read_text())
            yield RunningDemo(url, folder, accounts, process, log, variables)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium for all of these tests. It ends with them: Playwright keeps an event loop running meanwhile, and in
    a running loop neither Django's ORM nor `asyncio.run` works for the tests that come after."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_ARGUMENTS)
        yield chromium
        chromium.close()


class People:
    """Signed-in browser windows, one a person; each signs in once."""

    def __init__(self, demo: RunningDemo, browser: Browser) -> None:
        self.demo = demo
        self.browser = browser
        self.contexts: dict[str, BrowserContext] = {}

    def page(self, account: dict, *, language: str = "en", width: int = 1280) -> Page:
        """A new page of this person's, in this language."""
        context = self.contexts.get(account["email"])
        if context is None:
            context = self.browser.new_context(
                base_url=self.demo.url, viewport={"width": width, "height": 900}, accept_downloads=True
            )
            context.set_default_timeout(20_000)
            self.contexts[account["email"]] = context
            self._sign_in(context.new_page(), account)
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": 900})
        self._speak(page, language)
        return page

    def _sign_in(self, page: Page, account: dict) -> None:
        page.goto("/accounts/login/")
        page.fill("input[name=login]", account["email"])
        page.fill("input[name=password]", account["password"])
        page.press("input[name=password]", "Enter")
        if account["totp_secret"]:
            page.wait_for_selector("input[name=code]")
            page.fill("input[name=code]", self.demo.code(account))
            page.press("input[name=code]", "Enter")
        page.wait_for_url(f"{self.demo.url}/")
        page.close()

    def _speak(self, page: Page, language: str) -> None:
        page.goto("/")
        if page.get_attribute("html", "lang") != language:
            page.locator(f"form button[name=language][value={language}]").first.evaluate("button => button.click()")
            page.wait_for_function("language => document.documentElement.lang === language", arg=language)

    def close(self) -> None:
        for context in self.contexts.values():
            context.close()


@pytest.fixture(scope="package")
def people(demo: RunningDemo, browser: Browser) -> Iterator[People]:
    """Everybody of accounts.json."""
    crowd = People(demo, browser)
    yield crowd
    crowd.close()


def shoot(page: Page, name: str) -> None:
    """Keep a screenshot under var/screenshots."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(SHOTS / f"{name}.png"), full_page=True)


def wait_for_charts(page: Page) -> None:
    """Until every chart on the page is drawn."""
    page.wait_for_function(
        "() => [...document.querySelectorAll('.chart')].every(chart => chart.querySelector('canvas, svg, p'))"
    )


@pytest.fixture(scope="package")
def startups(demo: RunningDemo, people: People) -> list[tuple[Page, str]]:
    """Two organisations, each with (the manager's page, an allocation that would take the whole node)."""
    from tests.e2e import steps  # which needs this module

    return [
        steps.get_allocation(
            people, demo, demo.account("manager", name), title=f"Evaluation of {name}", gpus=WHOLE_NODE, gpu_hours=160
        )
        for name in ("Upstage", "Mudeung")
    ]
