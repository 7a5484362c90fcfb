"""From “find me a slot” to the calendar: what is offered can be booked, what is free can be dragged over and booked."""

import re
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import ZONE, People, RunningDemo, shoot

pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.timeout(600)]
LEASE = re.compile(r"/leases/lease-\w+/$")


def book(page: Page) -> str:
    expect(page.locator("#book-check [data-check=free]")).to_be_visible()
    page.locator("#book-form button.btn-primary").click()
    page.wait_for_url(LEASE)
    return page.url.rstrip("/").rpartition("/")[2]


def test_a_slot_is_found_booked_and_drawn_and_free_time_is_dragged_over(
    startups: list[tuple[Page, str]], people: People, demo: RunningDemo
) -> None:
    page, allocation = startups[1]  # Mudeung's
    first = (datetime.now(ZONE) + timedelta(days=8)).replace(hour=0, minute=0, second=0, microsecond=0)
    calendar = f"/calendar/?day={first:%Y-%m-%d}"  # a week in which no other test books
    ref = allocation.rstrip("/").rpartition("/")[2]
    page.goto(f"/find/?where={ref}")
    page.fill("[name=device_count]", "3")
    page.fill("[name=smallest]", "2")
    page.select_option("[name=shape]", "same_node")
    page.fill("[name=length]", "20")
    page.fill("[name=earliest]", f"{first:%Y-%m-%dT12:00}")
    page.click("#find-form button[type=submit]")
    expect(page.locator("[data-slot='1']")).to_be_visible()
    shoot(page, "find")
    page.click("[data-slot='1'] a.btn")
    shoot(page, "find-book")
    lease = book(page)

    page.goto(calendar)
    own = page.locator(f"svg.occupancy a[href='/leases/{lease}/']")
    assert own.count() == 3
    shoot(page, "calendar")
    own.first.focus()
    page.keyboard.press("Enter")  # by keyboard, too
    page.wait_for_url(LEASE)

    page.goto(calendar)
    tracks = page.locator("rect.calendar-track")
    box = tracks.nth(0).bounding_box()
    assert box is not None
    middle, line = box["y"] + box["height"] / 2, tracks.nth(1).bounding_box()
    assert line is not None
    page.mouse.move(box["x"] + box["width"] * 0.70, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.84, line["y"] + line["height"] / 2, steps=6)
    shoot(page, "calendar-drag")
    page.mouse.up()
    page.wait_for_url(re.compile(r"/book/\?"))
    assert page.input_value("[name=device_count]") == "2", "two rows"
    begins, ends = page.input_value("[name=starts_at]"), page.input_value("[name=ends_at]")
    assert begins[:10] < ends[:10] and begins.endswith((":00", ":30"))
    dragged = book(page)
    page.goto(calendar)
    page.locator("#calendar-table summary").click()
    expect(page.locator(f"#calendar-table a[href='/leases/{dragged}/']")).to_have_count(2)
    shoot(page, "calendar-table")

    other = people.page(demo.account("owner", "Upstage"), language="ko")
    other.goto("/calendar/?view=month&rows=nodes")
    expect(other.locator("rect.calendar-taken").first).to_be_attached()
    assert lease not in other.content() and "무등" not in other.locator("main").inner_text()
    shoot(other, "calendar-ko")
    other.set_viewport_size({"width": 360, "height": 780})
    shoot(other, "calendar-ko-360")
    assert other.evaluate("document.documentElement.scrollWidth") <= 360
