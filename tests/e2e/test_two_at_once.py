"""Two startups want the last GPUs at the same moment: one gets them, the other learns why and what is free next."""

import re
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import WHOLE_NODE, ZONE, shoot

pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.timeout(600)]
LEASE = re.compile(r"/leases/lease-\w+/$")


def fill(page: Page, allocation: str, start: datetime) -> None:
    page.goto(f"{allocation}book/")
    page.fill("[name=device_count]", str(WHOLE_NODE))
    page.fill("[name=starts_at]", start.strftime("%Y-%m-%dT%H:%M"))
    page.select_option("[name=length]", "3600")
    page.fill("[name=note]", "Evaluation")
    page.press("[name=note]", "Tab")  # leaving the field asks what is free
    expect(page.locator("#book-check [data-check=free]")).to_be_visible()


def leases_under(page: Page, allocation: str) -> set[str]:
    page.goto(allocation)
    links = page.locator("main a[href^='/leases/lease-']").evaluate_all("links => links.map(a => a.pathname)")
    return set(links)


def test_two_startups_book_the_same_gpus_and_one_gets_them(startups: list[tuple[Page, str]]) -> None:
    start = datetime.now(ZONE).replace(minute=0, second=0, microsecond=0) + timedelta(days=2)
    pages = [page for page, _allocation in startups]
    for page, allocation in startups:
        fill(page, allocation, start)
    for page in pages:  # both are on their way before either is answered
        page.evaluate("() => { document.querySelector('#book-form button.btn-primary').click() }")
    for page in pages:
        page.wait_for_function(
            "() => location.pathname.startsWith('/leases/') || document.querySelector('#take-offer') !== null"
        )
    won = [page for page in pages if LEASE.search(page.url)]
    lost = [page for page in pages if not LEASE.search(page.url)]
    assert len(won) == len(lost) == 1
    loser = lost[0]
    expect(loser.locator("main")).to_contain_text("somebody else has reserved them")
    assert loser.input_value("[name=device_count]") == str(WHOLE_NODE)
    assert loser.input_value("[name=note]") == "Evaluation"
    shoot(loser, "book-lost")
    loser.click("#take-offer")
    expect(loser.locator("#book-check [data-check=free]")).to_be_visible()
    assert loser.input_value("[name=note]") == "Evaluation"
    loser.locator("#book-form button.btn-primary").click()
    loser.wait_for_url(LEASE)


def test_a_double_click_and_the_back_button_book_once(startups: list[tuple[Page, str]]) -> None:
    page, allocation = startups[0]
    start = datetime.now(ZONE).replace(minute=0, second=0, microsecond=0) + timedelta(days=5)
    before = leases_under(page, allocation)
    page.goto(f"{allocation}book/?device_count=2&starts_at={start:%Y-%m-%dT%H:%M}&length=3600")
    page.locator("#book-form button.btn-primary").dblclick()
    page.wait_for_url(LEASE)
    first = page.url
    page.go_back()
    page.locator("#book-form button.btn-primary").click()  # the same form once more
    page.wait_for_url(LEASE)
    assert page.url == first
    assert leases_under(page, allocation) - before == {urlsplit(first).path}
