"""Windows at the edges: changes of the clock, the leap day, touching windows, the shortest and the longest."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from allocations.forms.booking import BookForm
from allocations.models import Lease
from allocations.selectors.balances import balance
from allocations.services import booking, extending
from common.errors import RuleBroken
from tests.allocations.conftest import Stage
from tests.allocations.test_api import client
from tests.factories import AgreementFactory

HOUR = timedelta(hours=1)
BERLIN = ZoneInfo("Europe/Berlin")


def next_change(autumn: bool) -> datetime:
    """The day before the next change of the clock in Berlin, at noon there."""
    day = datetime.now(BERLIN).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=2)
    while True:
        before, after = day.utcoffset(), (day + timedelta(days=1)).utcoffset()
        if before is not None and after is not None and before != after and (after < before) == autumn:
            return day
        day += timedelta(days=1)


@pytest.fixture
def long_award(stage: Stage) -> Stage:
    """An award and an agreement that outlast the next two changes of the clock."""
    far = timezone.now() + timedelta(days=800)
    type(stage.allocation).objects.update(valid_until=far)
    type(stage.allocation.project.agreement).objects.update(valid_until=far.date())
    return stage


@pytest.mark.parametrize(("autumn", "hours"), [(True, 25), (False, 23)])
def test_a_day_with_a_change_of_the_clock_costs_the_hours_that_pass(
    long_award: Stage, autumn: bool, hours: int
) -> None:
    stage, start = long_award, next_change(autumn)
    lease = booking.book(
        actor=stage.cast.owner,
        allocation=stage.allocation,
        device_count=1,
        starts_at=start,
        ends_at=start + timedelta(days=1),  # the same time on the clock
    )
    assert balance(stage.allocation).held == hours * 3600
    extending.extend(actor=stage.cast.owner, lease=lease, ends_at=start + timedelta(days=2))
    assert balance(stage.allocation).held == (hours + 24) * 3600


@pytest.mark.parametrize(("autumn", "hours"), [(True, 25), (False, 23)])
def test_form_and_api_reckon_as_the_service_does(long_award: Stage, autumn: bool, hours: int) -> None:
    stage, start = long_award, next_change(autumn)
    typed = {"device_count": 1, "length": "", "note": ""}
    with timezone.override(BERLIN):
        wall = {"starts_at": start, "ends_at": start + timedelta(days=1)}
        form = BookForm(typed | {key: at.strftime("%Y-%m-%dT%H:%M") for key, at in wall.items()})
        assert form.is_valid(), form.errors
        cleaned: Any = form.cleaned_data
        assert cleaned["ends_at"] - cleaned["starts_at"] == hours * HOUR
        asked = {"allocation": stage.allocation.public_id, "device_count": 1}
        asked |= {key: at.isoformat() for key, at in wall.items()}
        answer = client(stage.cast.owner).post("/api/v1/leases/", asked, format="json")
    assert answer.status_code == 201, answer.content
    assert balance(stage.allocation).held == hours * 3600


def test_windows_that_touch_share_a_device(stage: Stage) -> None:
    device = stage.small.devices.order_by("pk")[0]
    first = stage.book(1, start=1, hours=1, devices=[device])
    second = booking.book(
        actor=stage.cast.owner,
        allocation=stage.allocation,
        device_count=1,
        starts_at=first.ends_at,
        ends_at=first.ends_at + HOUR,
        devices=[device],
    )
    assert second.placements.get().device == device
    with pytest.raises(RuleBroken) as refused:
        booking.book(
            actor=stage.cast.owner,
            allocation=stage.allocation,
            device_count=1,
            starts_at=second.ends_at - timedelta(microseconds=1),
            ends_at=second.ends_at + HOUR,
            devices=[device],
        )
    assert refused.value.code == "no_free_devices"


def test_the_leap_day_is_a_day(stage: Stage) -> None:
    year = timezone.now().year + (-timezone.now().year % 4 or 4)
    start = datetime(year, 2, 28, 12, tzinfo=UTC)
    type(stage.allocation).objects.update(valid_until=start + timedelta(days=9))
    type(stage.allocation.project.agreement).objects.update(valid_until=date(year, 3, 31))
    lease = booking.book(
        actor=stage.cast.owner,
        allocation=stage.allocation,
        device_count=1,
        starts_at=start,
        ends_at=datetime(year, 3, 1, 12, tzinfo=UTC),
    )
    assert balance(stage.allocation).held == 48 * 3600
    assert lease.ends_at - lease.starts_at == 48 * HOUR


@pytest.mark.parametrize(
    ("length", "code"),
    [
        (timedelta(seconds=1), "window_too_short"),
        (timedelta(minutes=10) - timedelta(microseconds=1), "window_too_short"),
        (timedelta(minutes=10), None),
        (timedelta(days=90), None),
        (timedelta(days=90, microseconds=1), "window_too_long"),
        (timedelta(days=365), "window_too_long"),
    ],
)
def test_the_shortest_and_the_longest(stage: Stage, length: timedelta, code: str | None) -> None:
    hours = length / HOUR
    if code is None:
        assert stage.book(1, hours=hours).ends_at
        return
    with pytest.raises(RuleBroken) as refused:
        stage.book(1, hours=hours)
    assert refused.value.code == code


def test_an_agreement_that_ends_inside_the_window_refuses_it_by_the_agencys_own_day(stage: Stage) -> None:
    agreement = stage.allocation.project.agreement
    last = timezone.localdate() + timedelta(days=5)
    AgreementFactory._meta.model.objects.filter(pk=agreement.pk).update(valid_until=last)
    midnight = timezone.make_aware(datetime.combine(last + timedelta(days=1), datetime.min.time()))

    def until(end: datetime) -> Lease:
        return booking.book(
            actor=stage.cast.owner,
            allocation=stage.allocation,
            device_count=1,
            starts_at=midnight - 2 * HOUR,
            ends_at=end,
        )

    with pytest.raises(RuleBroken) as refused:
        until(midnight + timedelta(seconds=1))
    assert refused.value.code == "outside_term"
    assert until(midnight).ends_at == midnight
