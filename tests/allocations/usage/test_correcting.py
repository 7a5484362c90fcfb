"""What was decided stays; what it turned out to be is appended, with a reason, and the sums follow."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models import Sum
from django.utils import translation

from allocations.models import Lease, UsageCorrection, UsageDay, UsageHour, UsageTotal
from allocations.selectors import usage
from allocations.services.usage import deciding, revising
from allocations.services.usage.correcting import correct
from allocations.usage_rule import RULE
from audit.models import AuditEvent
from cluster.models import Device, DeviceEvent
from common.errors import Forbidden, RuleBroken
from notifications.models import Notification
from telemetry.models import IdlePower
from tests.allocations.test_api import client as api_of
from tests.allocations.test_views import sign_in
from tests.allocations.usage.measuring import BUSY, HOUR, MINUTE, NOON, QUIET, held, measured
from tests.factories import AllocationFactory, Cast, PoolFactory, make_cast, make_node

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def lease(cast: Cast) -> Lease:
    """Two devices for two hours from 12:30, nothing measured, all decided."""
    allocation = AllocationFactory(project=cast.project, pool=PoolFactory())
    devices = make_node(allocation.pool, 2).devices.all()
    lease = held(
        devices, NOON + 30 * MINUTE, NOON + 2 * HOUR + 30 * MINUTE, allocation=allocation, booked_by=cast.owner
    )
    deciding.decide(NOON + 4 * HOUR)
    return lease


def first_device(lease: Lease) -> Device:
    device: Device = Device.objects.filter(placements__lease=lease).order_by("pk")[0]
    return device


def adds_up() -> None:
    """Days are hours with their corrections, what a lease has in all are its days, and nothing got lost."""
    hours = UsageHour.objects.totals()["held_seconds"]
    gone = UsageCorrection.objects.filter(to_class="").aggregate(total=Sum("seconds", default=0))["total"]
    assert UsageDay.objects.totals()["held_seconds"] == hours - gone
    assert UsageTotal.objects.totals() == UsageDay.objects.totals()


def test_an_officer_corrects_minutes_and_the_partner_is_told(cast: Cast, lease: Lease) -> None:
    ask = {"starts_at": NOON + 45 * MINUTE, "ends_at": NOON + 75 * MINUTE, "to_class": "fault"}
    made = correct(actor=cast.officer, lease=lease, device=first_device(lease), reason="the switch was down", **ask)
    assert [(row.hour, row.first_minute, row.last_minute, row.from_class, row.seconds) for row in made] == [
        (NOON, 45, 59, "no_data", 900),
        (NOON + HOUR, 0, 14, "no_data", 900),
    ]
    found = usage.sums(Lease.objects.all())
    assert (found.fault_seconds, found.no_data_seconds, found.held_seconds) == (1800, 4 * 3600 - 1800, 4 * 3600)
    within = usage.sums(Lease.objects.all(), NOON + HOUR, NOON + 2 * HOUR)
    assert (within.fault_seconds, within.held_seconds) == (900, 7200), "hours at the edges know corrections, too"
    letters = [row.code for row in usage.minutes(lease, NOON + 40 * MINUTE, NOON + 80 * MINUTE)]
    assert letters[:40] == ["N"] * 5 + ["F"] * 30 + ["N"] * 5
    assert AuditEvent.objects.filter(verb="lease.usage_corrected").count() == 1
    note = Notification.objects.get(event="usage_corrected", recipient=cast.owner)
    assert "the switch was down" in note.body
    with pytest.raises(RuleBroken, match="No decided minute"):
        correct(actor=cast.officer, lease=lease, device=first_device(lease), reason="again", **ask)
    correct(actor=cast.operator, lease=lease, device=None, reason="it ran", **ask | {"to_class": "used"})
    assert usage.sums(Lease.objects.all()).used_seconds == 3600
    adds_up()


def test_partners_see_corrections_and_make_none(cast: Cast, lease: Lease) -> None:
    ask = {"starts_at": NOON, "ends_at": NOON + HOUR, "to_class": "used"}
    with pytest.raises(Forbidden):
        correct(actor=cast.owner, lease=lease, device=None, reason="it ran", **ask)
    with pytest.raises(RuleBroken, match="reason"):
        correct(actor=cast.officer, lease=lease, device=None, reason=" ", **ask)
    url = f"/api/v1/leases/{lease.public_id}/"
    body = ask | {"reason": "logs prove work"}
    assert api_of(cast.owner).post(url + "correct-usage/", body, format="json").status_code == 403
    made = api_of(cast.officer).post(url + "correct-usage/", body, format="json")
    assert made.status_code == 201 and len(made.data) == 2, made.content
    told = api_of(cast.owner).get(url + "usage-corrections/").data["results"]
    assert {row["reason"] for row in told} == {"logs prove work"}
    assert api_of(cast.owner).get(url + "usage-days/").data["results"][0]["used_seconds"] == 3600
    page = sign_in(cast.owner).get(f"/leases/{lease.public_id}/usage/?day=2026-11-10")
    assert "logs prove work" in page.content.decode() and "usage/correct" not in page.content.decode()
    assert sign_in(cast.owner).get(f"/leases/{lease.public_id}/usage/correct/").status_code == 404
    lines = b"".join(sign_in(cast.owner).get(f"/leases/{lease.public_id}/usage/?format=csv")).decode().splitlines()
    assert lines[1].startswith("2026-11-10,4.00,1.00,")


def test_what_came_late_is_corrected_once(lease: Lease) -> None:
    measured(first_device(lease), NOON + 40 * MINUTE, 60, **BUSY)
    assert revising.revise(NOON + 3 * HOUR) == 0, "more may come"
    assert revising.revise(NOON + 7 * HOUR) == 0, "the mark of the first time stands at the last hour decided"
    hour = NOON + HOUR
    assert revising._revise_hour(hour) == 1 and revising._revise_hour(hour) == 0
    entry = UsageCorrection.objects.get()
    assert (entry.from_class, entry.to_class, entry.seconds, entry.reason) == ("no_data", "used", 2400, "late data")
    assert entry.actor is None and str(entry.why)
    adds_up()


@pytest.mark.parametrize(("version", "corrected"), [(1, 0), (RULE.version, 1)])
def test_an_hour_is_looked_at_again_by_the_rule_that_decided_it(version: int, corrected: int) -> None:
    """What the first rule called use for its power alone stays so; by a later one it would be parked."""
    device = make_node(PoolFactory(), 1).devices.get()
    lease = held([device], NOON, NOON + HOUR)
    IdlePower.objects.create(gpu_class=device.gpu_class, watts=70, samples=600, learned_at=NOON)
    measured(device, NOON, 60, **QUIET | {"power_watts": 120, "process_count": 1}, memory_used_mib=40_000)
    used = {"codes": "U" * 60, "held_seconds": 3600, "used_seconds": 3600, "samples": 360}
    UsageHour.objects.create(lease=lease, device=device, hour=NOON, rule_version=version, **used)
    assert revising._revise_hour(NOON) == corrected


def test_a_loss_that_is_told_late_is_a_fault(lease: Lease) -> None:
    device = first_device(lease)
    DeviceEvent.objects.create(node=device.node, device=device, kind="lost", at=NOON + 90 * MINUTE)
    assert revising._revise_hour(NOON + HOUR) == 1
    assert usage.sums(Lease.objects.all()).fault_seconds == 1800
    adds_up()


def test_a_device_that_was_given_back_earlier_was_not_held(lease: Lease) -> None:
    device = first_device(lease)
    lease.placements.filter(device=device).update(used_until=NOON + 100 * MINUTE)
    assert revising._revise_hour(NOON + HOUR) == 1
    assert usage.sums(Lease.objects.all()).held_seconds == 4 * 3600 - 1200
    assert [row.code for row in usage.minutes(lease, NOON + HOUR, NOON + 2 * HOUR)] == ["N"] * 100
    adds_up()


def test_what_a_person_said_of_an_hour_stands(cast: Cast, lease: Lease) -> None:
    device = first_device(lease)
    ask = {"starts_at": NOON + HOUR, "ends_at": NOON + timedelta(hours=1, minutes=10)}
    correct(actor=cast.officer, lease=lease, device=device, reason="maintenance", to_class="maintenance", **ask)
    measured(device, NOON + HOUR, 60, **BUSY)
    assert revising._revise_hour(NOON + HOUR) == 0
