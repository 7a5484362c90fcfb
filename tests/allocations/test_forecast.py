"""Where an allocation is heading, and its balance over time."""

from datetime import timedelta
from typing import Any

from django.db import connection
from django.test import Client
from django.utils import timezone

from allocations.models import Allocation, LedgerEntry
from allocations.selectors.balances import balance, balance_points, forecast
from allocations.services import ending
from tests.allocations.conftest import Stage
from tests.allocations.test_api import client

DAY = timedelta(days=1)
HOUR = 3600


def at(stage: Stage, days_ago: float, kind: str, hours: float) -> None:
    """An entry of the past. The table refuses UPDATE, so the clock is set at the insert."""
    stage.proved = False
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO allocations_ledgerentry (allocation_id, kind, device_seconds, reason, actor_label, at) "
            "VALUES (%s, %s, %s, '', 'x', %s)",
            [stage.allocation.pk, kind, round(hours * HOUR), timezone.now() - timedelta(days=days_ago)],
        )


def begun(stage: Stage, days_ago: float) -> Allocation:
    Allocation.objects.filter(pk=stage.allocation.pk).update(
        valid_from=stage.now - days_ago * DAY, created_at=stage.now - days_ago * DAY
    )
    stage.allocation.refresh_from_db()
    return stage.allocation


def looked(stage: Stage) -> Any:
    return forecast(stage.allocation, balance(stage.allocation).left, stage.now)


def test_it_runs_out_when_the_pace_says_so(stage: Stage) -> None:
    begun(stage, 30)
    at(stage, 20, "hold", -1000)  # longer ago than is looked at
    at(stage, 7, "hold", -1400)
    found = looked(stage)
    assert (found.pace_seconds_a_day, found.over_days) == (100 * HOUR, 14)
    assert found.runs_out_at == stage.now + 76 * DAY and found.unused_seconds is None


def test_a_slow_pace_leaves_something_unused(stage: Stage) -> None:
    begun(stage, 30)
    at(stage, 3, "hold", -140)
    found = looked(stage)
    lasts = (stage.allocation.valid_until - stage.now) / DAY
    assert found.runs_out_at is None
    assert found.unused_seconds == (10_000 - 140) * HOUR - round(10 * HOUR * lasts)


def test_what_came_back_counts_against_the_pace(stage: Stage) -> None:
    begun(stage, 30)
    lease = stage.book(4, hours=10)
    assert looked(stage).pace_seconds_a_day > 0
    ending.cancel(actor=stage.cast.owner, lease=lease)
    found = looked(stage)
    assert (found.pace_seconds_a_day, found.runs_out_at, found.unused_seconds) == (0, None, None)


def test_a_young_allocation_is_judged_by_its_own_days(stage: Stage) -> None:
    begun(stage, 2)
    at(stage, 0.5, "hold", -200)
    assert looked(stage).pace_seconds_a_day == 100 * HOUR and looked(stage).over_days == 2


def test_the_points_end_with_the_balance(stage: Stage) -> None:
    begun(stage, 30)
    for days_ago, hours in ((9, -10), (9, -5), (4, -20)):
        at(stage, days_ago, "hold", hours)
    points = balance_points(stage.allocation, timezone.now())
    assert points == sorted(points, key=lambda point: point[0])
    assert points[-1][1] == balance(stage.allocation).left
    assert LedgerEntry.objects.filter(allocation=stage.allocation).count() == 4 and len(points) <= 4


def test_page_chart_and_api_say_the_same(stage: Stage) -> None:
    begun(stage, 30)
    at(stage, 7, "hold", -1400)
    web = Client()
    web.force_login(stage.cast.owner)
    page = web.get(stage.allocation.get_absolute_url())
    assert page.status_code == 200 and page.context["forecast"].pace_seconds_a_day == 100 * HOUR
    chart = web.get(stage.allocation.get_absolute_url() + "series.json").json()
    assert chart["series"][0]["points"][-1][1] == 8600
    said = client(stage.cast.owner).get(f"/api/v1/allocations/{stage.allocation.public_id}/forecast/").json()
    assert said["pace_seconds_a_day"] == 100 * HOUR and said["points"][-1]["left"] == 8600 * HOUR
    seen = client(stage.cast.outsider).get(f"/api/v1/allocations/{stage.allocation.public_id}/forecast/")
    assert seen.status_code == 404
