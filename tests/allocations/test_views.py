"""The pages of allocations and reservations."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from allocations.models import Allocation, Lease
from allocations.services.booking import book
from cluster.models import Grant, Handover
from tests.factories import (
    AllocationFactory,
    Cast,
    LeaseFactory,
    PoolFactory,
    SshKeyFactory,
    make_cast,
    make_node,
    make_sample,
)
from tests.factories.allocations import PlacementFactory
from tests.queries import MOST_A_PAGE, queries_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def allocation(cast: Cast) -> Allocation:
    allocation: Allocation = AllocationFactory(project=cast.project, pool=PoolFactory())
    make_node(allocation.pool)
    return allocation


def sign_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def booked(allocation: Allocation, user: Any, *, count: int = 2, hours: int = 4) -> Lease:
    now = timezone.now()
    return book(
        actor=user, allocation=allocation, device_count=count, starts_at=now, ends_at=now + timedelta(hours=hours)
    )


def running(allocation: Allocation, user: Any, *, count: int = 2) -> Lease:
    """A lease as it stands once the nodes have handed it over."""
    began = timezone.now() - timedelta(hours=1)
    lease: Lease = LeaseFactory(
        allocation=allocation,
        booked_by=user,
        device_count=count,
        starts_at=began,
        ends_at=began + timedelta(hours=4),
        active_at=began,
        state="active",
    )
    devices = list(allocation.pool.nodes.get().devices.order_by("index")[:count])
    for device in devices:
        PlacementFactory(lease=lease, device=device)
    Grant.objects.create(
        lease_ref=lease.public_id,
        node=devices[0].node,
        generation=1,
        login="lease-login",
        host="gpu.example.test",
        port=2222,
        host_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8vtxJnLf0mY0kJ5dS1o1m2Q3R4S5T6U7V8W9X0Y1Z2",
        ends_at=lease.ends_at,
        granted_at=began,
    )
    return lease


PAGES = ("allocation", "ledger", "book", "book-check")
LEASE_PAGES = (
    "lease",
    "lease-live",
    "lease-series",
    "lease-handover",
    "lease-release",
    "lease-cancel",
    "lease-extend",
)


@pytest.mark.parametrize("name", PAGES)
def test_an_allocation_exists_for_its_organisation_and_the_agency_alone(
    cast: Cast, allocation: Allocation, name: str
) -> None:
    url = reverse(f"allocations:{name}", args=[allocation.public_id])
    assert sign_in(cast.viewer).get(url).status_code == 200
    assert sign_in(cast.auditor).get(url).status_code == 200
    assert sign_in(cast.outsider).get(url).status_code == 404
    assert sign_in(cast.reviewer).get(url).status_code == 404
    assert Client().get(url).status_code == 302


@pytest.mark.parametrize("name", LEASE_PAGES)
def test_a_reservation_exists_for_its_organisation_and_the_agency_alone(
    cast: Cast, allocation: Allocation, name: str
) -> None:
    url = reverse(f"allocations:{name}", args=[running(allocation, cast.owner).public_id])
    assert sign_in(cast.viewer).get(url).status_code == 200
    assert sign_in(cast.operator).get(url).status_code == 200
    assert sign_in(cast.outsider).get(url).status_code == 404
    assert Client().get(url).status_code == 302


def test_lists_show_only_ones_own_and_export(cast: Cast, allocation: Allocation) -> None:
    lease = booked(allocation, cast.owner)
    for name, shown in (("allocations", cast.project.title), ("leases", lease.public_id)):
        url = reverse(f"allocations:{name}")
        assert shown in sign_in(cast.viewer).get(url).content.decode()
        assert shown not in sign_in(cast.outsider).get(url).content.decode()
        exported = sign_in(cast.viewer).get(url, {"format": "csv"})
        assert shown in b"".join(exported).decode()


def test_the_list_of_reservations_filters_by_state_allocation_and_day(cast: Cast, allocation: Allocation) -> None:
    lease = booked(allocation, cast.owner)
    client, url = sign_in(cast.owner), reverse("allocations:leases")

    def shown(**query: str) -> bool:
        return lease.public_id in client.get(url, query).content.decode().split("<tbody", 1)[-1]

    today = timezone.localdate()
    assert shown(state="scheduled", allocation=allocation.public_id, since=str(today))
    assert not shown(state="ended")
    assert not shown(allocation="alloc-22222222")
    assert not shown(since=str(today + timedelta(days=30)))
    assert not shown(until=str(today - timedelta(days=30)))
    assert client.get(url, {"since": "yesterday", "state": "nonsense", "page": "999"}).status_code == 200


def test_an_allocation_shows_asked_against_awarded_and_the_balance(cast: Cast) -> None:
    allocation = AllocationFactory(
        project=cast.project, asked_gpu_seconds=64 * 720 * 3600, awarded_gpu_seconds=48 * 720 * 3600
    )
    page = sign_in(cast.viewer).get(allocation.get_absolute_url()).content.decode()
    assert "46,080.00" in page and "34,560.00" in page


def book_url(allocation: Allocation) -> str:
    return reverse("allocations:book", args=[allocation.public_id])


def test_booking_without_a_start_starts_now_and_leads_to_the_reservation(cast: Cast, allocation: Allocation) -> None:
    answer = sign_in(cast.owner).post(
        book_url(allocation), {"device_count": "4", "length": "14400", "starts_at": "", "ends_at": "", "note": "a try"}
    )
    lease = Lease.objects.get()
    assert answer.status_code == 302 and answer["Location"] == lease.get_absolute_url()
    assert (lease.device_count, lease.note) == (4, "a try")
    assert lease.ends_at - lease.starts_at == timedelta(hours=4)


def test_the_check_button_books_nothing_and_says_what_is_free(cast: Cast, allocation: Allocation) -> None:
    answer = sign_in(cast.owner).post(book_url(allocation), {"device_count": "4", "length": "14400", "check": "1"})
    assert answer.status_code == 200 and 'data-check="free"' in answer.content.decode()
    assert not Lease.objects.exists()


def test_a_refused_booking_keeps_what_was_typed_and_offers_the_next_window(cast: Cast, allocation: Allocation) -> None:
    booked(allocation, cast.owner, count=6)
    client = sign_in(cast.owner)
    answer = client.post(book_url(allocation), {"device_count": "4", "length": "14400", "note": "keep me"})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert 'value="4"' in page and "keep me" in page
    link = answer.context["offer"]["url"]
    filled = client.get(link)
    assert 'data-check="free"' in filled.content.decode()
    form = {key: filled.context["form"][key].value() for key in ("device_count", "starts_at", "length", "ends_at")}
    assert client.post(book_url(allocation), form).status_code == 302
    assert Lease.objects.count() == 2


def test_the_same_form_sent_twice_books_once(cast: Cast, allocation: Allocation) -> None:
    client = sign_in(cast.owner)
    key = client.get(book_url(allocation)).context["submission_key"]
    for _turn in range(2):
        answer = client.post(book_url(allocation), {"device_count": "1", "length": "3600", "submission": key})
        assert answer.status_code == 302
    assert Lease.objects.count() == 1


@pytest.mark.parametrize(
    "typed",
    [
        {},
        {"device_count": "0", "length": "3600"},
        {"device_count": "-3", "length": "3600"},
        {"device_count": "many", "length": "3600"},
        {"device_count": "99999999999999999999", "length": "3600"},
        {"device_count": "1", "length": "7"},
        {"device_count": "1", "length": ""},
        {"device_count": "1", "length": "", "ends_at": "2001-01-01T00:00"},
        {"device_count": "1", "length": "3600", "starts_at": "2001-01-01T00:00"},
        {"device_count": "1", "length": "3600", "starts_at": "0001-01-01T00:00"},
        {"device_count": "1", "length": "3600", "starts_at": "9999-12-31T23:59"},
        {"device_count": "1", "length": "3600", "starts_at": "soon"},
        {"device_count": "1", "length": "3600", "note": "x" * 201},
        {"device_count": "1\x00", "length": "3600", "note": "\x00"},
        {"device_count": "9", "length": "3600"},
    ],
)
def test_bad_input_is_refused_on_the_form(cast: Cast, allocation: Allocation, typed: dict[str, str]) -> None:
    client = sign_in(cast.owner)
    assert client.post(book_url(allocation), typed).status_code == 422
    assert client.get(book_url(allocation), typed).status_code == 200
    assert client.get(reverse("allocations:book-check", args=[allocation.public_id]), typed).status_code == 200
    assert not Lease.objects.exists()


def test_a_viewer_may_look_and_not_book(cast: Cast, allocation: Allocation) -> None:
    client = sign_in(cast.viewer)
    assert not client.get(book_url(allocation)).context["may_book"]
    assert client.post(book_url(allocation), {"device_count": "1", "length": "3600"}).status_code == 422
    assert not Lease.objects.exists()


def test_a_running_reservation_shows_how_to_get_in(cast: Cast, allocation: Allocation) -> None:
    lease = running(allocation, cast.owner)
    SshKeyFactory(user=cast.teammate)
    page = sign_in(cast.teammate).get(lease.get_absolute_url()).content.decode()
    assert "ssh -i ~/.ssh/id_ed25519 -p 2222 lease-login@gpu.example.test" in page
    assert "SHA256:" in page
    looking = sign_in(cast.viewer).get(lease.get_absolute_url()).content.decode()
    assert "data-ssh-command" not in looking


def test_the_certificate_is_for_ones_own_key_and_is_downloaded(cast: Cast, allocation: Allocation) -> None:
    lease = running(allocation, cast.owner)
    mine, other = SshKeyFactory(user=cast.owner, name="노트북 laptop"), SshKeyFactory(user=cast.teammate)
    url = reverse("allocations:lease-certificate", args=[lease.public_id])
    client = sign_in(cast.owner)
    answer = client.post(url, {"key": mine.public_id})
    assert answer.status_code == 200 and answer["Content-Disposition"] == 'attachment; filename="laptop-cert.pub"'
    assert answer.content.startswith(b"ssh-ed25519-cert-v01@openssh.com ")
    assert client.post(url, {"key": other.public_id}).status_code == 302
    assert client.post(url).status_code == 302
    assert sign_in(cast.outsider).post(url, {"key": mine.public_id}).status_code == 404


def test_a_gap_is_a_dash_and_what_was_measured_before_the_handover_is_not_shown(
    cast: Cast, allocation: Allocation
) -> None:
    lease = running(allocation, cast.owner)
    first, second = (placement.device for placement in lease.placements.order_by("device__index"))
    for device, at, percent in (
        (first, timezone.now() - timedelta(seconds=5), 87),
        (second, lease.active_at - timedelta(minutes=5), 55),
    ):
        make_sample(device, at, percent, memory_used_mib=40_000)
    rows = sign_in(cast.owner).get(lease.get_absolute_url()).context["rows"]
    assert [row.sample.utilisation_percent if row.sample else None for row in rows] == [87, None]
    assert rows[1].last_at is None


def test_the_live_part_polls_until_the_reservation_is_over(cast: Cast, allocation: Allocation) -> None:
    lease = running(allocation, cast.owner)
    client, url = sign_in(cast.owner), reverse("allocations:lease-live", args=[lease.public_id])
    assert 'hx-trigger="every 5s"' in client.get(url).content.decode()
    assert client.get(url, {"state": "preparing"})["HX-Refresh"] == "true"
    over = LeaseFactory(allocation=allocation, booked_by=cast.owner, state="ended")
    assert "hx-trigger" not in client.get(reverse("allocations:lease-live", args=[over.public_id])).content.decode()


@pytest.mark.parametrize("state", ["scheduled", "preparing", "prepare_stuck", "active", "draining", "reclaiming"])
@pytest.mark.parametrize("late", [False, True])
def test_every_state_has_its_page_and_words(cast: Cast, allocation: Allocation, state: str, late: bool) -> None:
    states = {"scheduled": "cancelled", "preparing": "failed", "active": "ended", "draining": "reclaim_stuck"}
    lease = LeaseFactory(allocation=allocation, booked_by=cast.owner, state=states.get(state, state) if late else state)
    page = sign_in(cast.owner).get(lease.get_absolute_url())
    assert page.status_code == 200 and page.context["words"]


def test_releasing_says_what_comes_back_and_does_it(cast: Cast, allocation: Allocation) -> None:
    lease = running(allocation, cast.owner)
    url = reverse("allocations:lease-release", args=[lease.public_id])
    client = sign_in(cast.owner)
    asked = client.get(url)
    assert 2 * 3 * 3600 - 60 < asked.context["bill"].back_seconds <= 2 * 3 * 3600
    assert client.post(url).status_code == 302
    lease.refresh_from_db()
    assert lease.state == "draining"
    assert client.post(url).status_code == 422


def test_cancelling_gives_the_hold_back(cast: Cast, allocation: Allocation) -> None:
    lease = booked(allocation, cast.owner)
    url = reverse("allocations:lease-cancel", args=[lease.public_id])
    assert sign_in(cast.teammate).post(url).status_code == 422  # somebody else's booking
    assert sign_in(cast.owner).post(url).status_code == 302
    lease.refresh_from_db()
    assert lease.state == "cancelled"


def test_extending_asks_for_a_later_end(cast: Cast, allocation: Allocation) -> None:
    lease = booked(allocation, cast.owner)
    url = reverse("allocations:lease-extend", args=[lease.public_id])
    client = sign_in(cast.owner)
    later = timezone.localtime(lease.ends_at + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M")
    for wrong in ("", "never", "2001-01-01T00:00", "9999-12-31T23:59"):
        assert client.post(url, {"ends_at": wrong}).status_code == 422
    assert client.post(url, {"ends_at": later}).status_code == 302
    end = lease.ends_at
    lease.refresh_from_db()
    assert lease.ends_at > end


def test_the_handover_sheet_shows_each_check(cast: Cast, allocation: Allocation) -> None:
    lease = running(allocation, cast.owner)
    device = lease.placements.first().device  # type: ignore[union-attr]
    Handover.objects.create(
        lease_ref=lease.public_id,
        device=device,
        moment="start",
        generation=1,
        passed=True,
        checks=[{"code": "memory_empty", "passed": True, "observed": "0 MiB", "expected": "under 500 MiB"}],
        taken_at=timezone.now(),
    )
    page = sign_in(cast.viewer).get(reverse("allocations:lease-handover", args=[lease.public_id])).content.decode()
    assert "Memory is empty" in page and "under 500 MiB" in page and "Not taken yet." in page


def test_pages_cost_the_same_with_one_row_and_with_fifty(cast: Cast, allocation: Allocation) -> None:
    client = sign_in(cast.owner)
    lease = running(allocation, cast.owner, count=1)
    urls = [
        reverse("allocations:allocations"),
        reverse("allocations:leases"),
        allocation.get_absolute_url(),
        reverse("allocations:ledger", args=[allocation.public_id]),
        book_url(allocation),
        lease.get_absolute_url(),
        reverse("allocations:lease-live", args=[lease.public_id]),
        reverse("home"),
    ]
    before = [queries_of(lambda url=url: client.get(url)) for url in urls]  # type: ignore[misc]
    for number in range(50):
        AllocationFactory(project=cast.project, pool=allocation.pool, concurrent_gpus=number + 1)
        LeaseFactory(allocation=allocation, booked_by=cast.owner, state="scheduled")
    fuller = make_node(allocation.pool, devices=50)
    for device in fuller.devices.all():
        PlacementFactory(lease=lease, device=device)
    after = [queries_of(lambda url=url: client.get(url)) for url in urls]  # type: ignore[misc]
    for url, few, many in zip(urls, before, after, strict=True):
        assert len(many) <= MOST_A_PAGE, f"{url}: {len(many)}\n" + "\n".join(many)
        assert len(few) == len(many), f"{url}: {len(few)} -> {len(many)}"


def test_a_gap_on_the_page_is_a_dash(cast: Cast, allocation: Allocation) -> None:
    page = sign_in(cast.owner).get(running(allocation, cast.owner).get_absolute_url()).content.decode()
    assert '<td class="text-end">–</td>' in page and "– / 81,559" in page
