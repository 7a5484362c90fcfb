"""What people do in the portal, one function a task, as the tests walk it."""

import re
from datetime import datetime, timedelta
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.conftest import ZONE, People, RunningDemo, shoot

LONG_MS = 120_000
TITLE = "Pretraining of the next Solar LLM"


def open_agreement(people: People, demo: RunningDemo, language: str) -> None:
    """An officer reads Upstage's agreement."""
    page = people.page(demo.account("officer"), language=language)
    page.goto("/agreements/")
    page.get_by_role("link", name=re.compile("AICA-2026-017")).first.click()
    expect(page.locator("main")).to_contain_text("AICA-2026-017")
    expect(page.locator("main")).to_contain_text("20,000.00")
    expect(page.locator("main a[href$='/document/']").first).to_be_visible()
    page.close()


def open_form(page: Page, *, title: str, gpus: int, hours: int) -> None:
    """Write a proposal step by step, as far as its one line of H100 for thirty days from today, which is saved."""
    page.goto("/calls/")
    page.locator("main a[href^='/calls/call-']").first.click()
    page.goto(page.url.rstrip("/") + "/propose/")
    page.fill("[name=title]", title)
    page.check("[name=purposes][value=pretraining]")
    page.locator("main button[type=submit].btn-primary").click()
    page.wait_for_url(re.compile(r"/edit/plan/$"))
    page.fill("[name=plan]", "Train 10.7 billion parameters.")
    page.fill("[name=data]", "Public Korean text.")
    expect(page.locator("#save-state time")).to_be_visible()  # it has saved by itself
    page.goto(page.url.replace("/plan/", "/lines/"))
    page.select_option("[name$='-0-gpu_class']", "h100-sxm-80")
    for name, value in (("gpus", gpus), ("smallest_gpus", 4), ("hours", hours)):
        page.fill(f"[name$='-0-{name}']", str(value))
    today = datetime.now(ZONE).date()
    page.fill("[name$='-0-window_from']", today.isoformat())
    page.fill("[name$='-0-window_until']", (today + timedelta(days=30)).isoformat())
    page.locator("main button[name=action][value=save]:visible").click()
    expect(page.locator("#proposal-check [data-check]").first).to_be_visible()


def submit(page: Page) -> str:
    """Submit the proposal that is open; its address."""
    page.goto(re.sub(r"/edit/\w+/$", "/edit/submit/", page.url))
    page.locator("button[name=action][value=submit]").click()
    page.wait_for_url(re.compile(r"/proposals/prop-\w+/$"))
    return page.url


def ask_past_the_ceiling(page: Page) -> None:
    """Be refused, with the ceiling named and everything kept; then ask for 8."""
    page.fill("[name$='-0-gpus']", "900")
    page.locator("main button[name=action][value=save]:visible").click()
    expect(page.locator("#proposal-check [data-check=refused]").first).to_be_visible()
    lines = page.url
    page.goto(lines.replace("/lines/", "/submit/"))
    page.locator("button[name=action][value=submit]").click()
    expect(page.locator(".alert-danger").first).to_contain_text("16")
    expect(page.locator("h1")).to_contain_text(TITLE)
    page.goto(lines)
    assert page.input_value("[name$='-0-gpus']") == "900"
    page.fill("[name$='-0-gpus']", "8")
    page.locator("main button[name=action][value=save]:visible").click()
    expect(page.locator("#proposal-check [data-check=allowed]").first).to_be_visible()


def award(people: People, demo: RunningDemo, address: str, *, language: str, gpus: int, gpu_hours: int) -> None:
    """Decide a proposal with these figures and a reason."""
    page = people.page(demo.account("officer"), language=language)
    page.goto(f"/staff/proposals/{address.rstrip('/').rsplit('/', 1)[-1]}/award/")
    page.fill("[name$='-0-gpus']", str(gpus))
    page.fill("[name$='-0-gpu_hours']", str(gpu_hours))
    page.fill("[name=reason]", "The pool is shared with others this month.")
    page.locator("main button[type=submit].btn-primary").last.click()
    page.wait_for_url(re.compile(r"/proposals/prop-\w+/$"))
    expect(page.locator("main")).to_contain_text(f"{gpu_hours:,}.00")
    page.close()


def accept(page: Page, address: str) -> None:
    """Take the award; it is asked about first."""
    page.goto(address)
    page.locator("details:has(form[action$='/accept/']) > summary").click()
    page.locator("form[action$='/accept/'] button").first.click()
    page.wait_for_load_state()
    page.goto(address)


def newest_allocation(page: Page) -> str:
    """Open the newest allocation; its address."""
    page.goto("/allocations/?sort=-created")
    page.locator("main a[href^='/allocations/alloc-']").first.click()
    page.wait_for_url(re.compile(r"/allocations/alloc-\w+/$"))
    return page.url


def get_allocation(
    people: People, demo: RunningDemo, account: dict, *, title: str, gpus: int, gpu_hours: int
) -> tuple[Page, str]:
    """Propose, award in full, accept: (the person's page, the address of the allocation)."""
    page = people.page(account)
    open_form(page, title=title, gpus=gpus, hours=gpu_hours // gpus)
    address = submit(page)
    award(people, demo, address, language="en", gpus=gpus, gpu_hours=gpu_hours)
    accept(page, address)
    return page, newest_allocation(page)


def book_now(page: Page, *, gpus: int, language: str) -> None:
    """Four hours from now under the newest allocation, waited for until it is handed over."""
    newest_allocation(page)
    page.locator("main a[href$='/book/'], .page-header a[href$='/book/']").first.click()
    page.fill("[name=device_count]", str(gpus))
    page.press("[name=device_count]", "Tab")  # leaving the field asks what is free
    expect(page.locator("#book-check [data-check=free]")).to_be_visible()
    shoot(page, f"book-{language}")
    page.locator("#book-form button.btn-primary").click()
    page.wait_for_url(re.compile(r"/leases/lease-\w+/$"))
    expect(page.locator("#lease-live")).to_have_attribute("data-state", "active", timeout=LONG_MS)
    page.reload()


def download_certificate(page: Page, path: Path) -> None:
    """Save the certificate for the first SSH key under `path`."""
    with page.expect_download() as download:
        page.locator("form[action$='/certificate/'] button[type=submit]").click()
    download.value.save_as(path)
    assert "cert-v01@openssh.com" in path.read_text()


def release(page: Page) -> None:
    """Give back early, and wait until the GPUs are confirmed empty."""
    page.locator("main a[href$='/release/'], .page-header a[href$='/release/']").first.click()
    page.locator("main button[type=submit].btn-danger, main button[type=submit].btn-primary").last.click()
    page.wait_for_url(re.compile(r"/leases/lease-\w+/$"))
    expect(page.locator("#lease-live")).to_have_attribute("data-state", "ended", timeout=LONG_MS)
    page.reload()
