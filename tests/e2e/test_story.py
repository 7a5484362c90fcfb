"""The main job, walked in a real browser against a whole demo, in both languages."""

import re
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import ROOT, People, RunningDemo, shoot

pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.timeout(600)]
LONG_MS = 120_000
TITLE = "Pretraining of the next Solar LLM"


def open_agreement(people: People, demo: RunningDemo, language: str) -> None:
    page = people.page(demo.account("officer"), language=language)
    page.goto("/agreements/")
    page.get_by_role("link", name=re.compile("AICA-2026-017")).first.click()
    expect(page.locator("main")).to_contain_text("AICA-2026-017")
    expect(page.locator("main")).to_contain_text("20,000.00")
    expect(page.locator("main a[href$='/document/']").first).to_be_visible()
    page.close()


def propose(people: People, demo: RunningDemo, language: str) -> str:
    """Ask past the ceiling, be refused with everything kept, then ask for less; the proposal's address."""
    page = people.page(demo.account("manager", "Upstage"), language=language)
    page.goto("/calls/")
    page.locator("main a[href^='/calls/call-']").first.click()
    page.goto(page.url.rstrip("/") + "/propose/")
    page.fill("[name=title]", TITLE)
    page.check("[name=purposes][value=pretraining]")
    page.fill("[name=plan]", "Train 10.7 billion parameters.")
    page.fill("[name=data]", "Public Korean text.")
    page.select_option("[name$='-0-gpu_class']", "h100-sxm-80")
    first = date.today() + timedelta(days=0)
    for name, value in (("gpus", "900"), ("smallest_gpus", "4"), ("hours", "100")):
        page.fill(f"[name$='-0-{name}']", value)
    page.fill("[name$='-0-window_from']", first.isoformat())
    page.fill("[name$='-0-window_until']", (first + timedelta(days=30)).isoformat())
    page.locator("button[name=action][value=submit]").click()
    expect(page.locator(".invalid-feedback, .alert-danger").first).to_be_visible()
    assert page.input_value("[name=title]") == TITLE
    assert page.input_value("[name$='-0-gpus']") == "900"
    page.fill("[name$='-0-gpus']", "8")
    page.locator("button[name=action][value=submit]").click()
    page.wait_for_url(re.compile(r"/proposals/prop-\w+/$"))
    address = page.url
    page.close()
    return address


def award(people: People, demo: RunningDemo, language: str, address: str) -> None:
    """Fewer GPUs and hours, with a reason."""
    page = people.page(demo.account("officer"), language=language)
    page.goto(f"/staff/proposals/{address.rstrip('/').rsplit('/', 1)[-1]}/award/")
    page.fill("[name$='-0-gpus']", "4")
    page.fill("[name$='-0-gpu_hours']", "400")
    page.fill("[name=reason]", "The pool is shared with others this month.")
    page.locator("main button[type=submit].btn-primary").last.click()
    page.wait_for_url(re.compile(r"/proposals/prop-\w+/$"))
    expect(page.locator("main")).to_contain_text("400.00")
    expect(page.locator("main")).to_contain_text("800.00")
    page.close()


def accept(people: People, demo: RunningDemo, language: str, address: str) -> None:
    page = people.page(demo.account("manager", "Upstage"), language=language)
    page.goto(address)
    page.locator("form[action$='/accept/'] button").first.click()
    page.wait_for_load_state()
    page.goto(address)
    shoot(page, f"proposal-{language}")
    page.close()


def book(people: People, demo: RunningDemo, language: str) -> Page:
    """Four GPUs from now for an hour; the reservation's page, active."""
    page = people.page(demo.account("manager", "Upstage"), language=language)
    page.goto("/allocations/?sort=-created")
    page.locator("main a[href^='/allocations/alloc-']").first.click()
    page.locator("main a[href$='/book/'], .page-header a[href$='/book/']").first.click()
    page.fill("[name=device_count]", "4")
    shoot(page, f"book-{language}")
    page.locator("main button[type=submit].btn-primary").last.click()
    page.wait_for_url(re.compile(r"/leases/lease-\w+/$"))
    expect(page.locator("#lease-live")).to_have_attribute("data-state", "active", timeout=LONG_MS)
    page.reload()
    expect(page.locator("main")).to_contain_text("127.0.0.1")
    return page


def work(demo: RunningDemo, page: Page) -> "subprocess.Popen[bytes]":
    """Bind a simulated workload to a device of the reservation and see it on the page."""
    state = demo.folder / "nodes" / "gpu-01" / "nvml.state"
    index = page.locator("#lease-live tbody th").first.inner_text().rsplit("/", 1)[-1].strip()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "simulator",
            "run",
            "--state",
            state,
            "--gpu",
            index,
            "--mem",
            "60000",
            "--",
            "sleep",
            "600",
        ],
        cwd=ROOT,
    )
    busy = page.locator("#lease-live tbody tr").first.locator("td").nth(1)
    expect(busy).to_have_text(re.compile(r"^\s*([5-9]\d|100)\s*$"), timeout=LONG_MS)
    return process


def certificate(page: Page, folder: Path) -> None:
    with page.expect_download() as download:
        page.locator("form[action$='/certificate/'] button[type=submit]").click()
    path = folder / "keys" / "manager-cert.pub"
    download.value.save_as(path)
    assert "cert-v01@openssh.com" in path.read_text()


def release(page: Page) -> None:
    page.locator("main a[href$='/release/'], .page-header a[href$='/release/']").first.click()
    page.locator("main button[type=submit].btn-danger, main button[type=submit].btn-primary").last.click()
    page.wait_for_url(re.compile(r"/leases/lease-\w+/$"))
    expect(page.locator("#lease-live")).to_have_attribute("data-state", "ended", timeout=LONG_MS)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_from_an_agreement_to_a_measured_gpu(demo: RunningDemo, people: People, language: str) -> None:
    open_agreement(people, demo, language)
    address = propose(people, demo, language)
    award(people, demo, language, address)
    accept(people, demo, language, address)
    page = book(people, demo, language)
    certificate(page, demo.folder)
    process = work(demo, page)
    try:
        shoot(page, f"lease-{language}")
        fleet = people.page(demo.account("officer"), language=language)
        fleet.goto("/staff/")
        shoot(fleet, f"fleet-{language}")
        fleet.close()
        release(page)
        assert process.wait(30) != 0  # the node ended it
    finally:
        process.kill()
    audit = people.page(demo.account("auditor"), language=language)
    audit.goto("/staff/audit/")
    expect(audit.locator("main")).to_contain_text("lease.")
