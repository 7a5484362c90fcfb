"""The size of what was measured, and what it will be."""

from datetime import timedelta

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from reports.selectors.storage import storage
from telemetry import partitions
from telemetry.models import DeviceMinute
from tests.allocations.test_api import client as api_of
from tests.allocations.test_views import sign_in
from tests.factories import PoolFactory, make_cast, make_node
from tests.queries import queries_of

pytestmark = pytest.mark.django_db


def test_size_growth_and_forecast_of_each_table() -> None:
    now = timezone.now()
    device = make_node(PoolFactory(), 1).devices.get()
    yesterday = (now - timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    partitions.ensure(now, since=yesterday)
    DeviceMinute.objects.bulk_create(
        DeviceMinute(device=device, minute=yesterday + timedelta(minutes=turn), samples=6) for turn in range(1440)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE telemetry_deviceminute")
    found = storage(now)
    minutes = {table.name: table for table in found.tables}["telemetry_deviceminute"]
    assert (minutes.rows, minutes.rows_a_day, minutes.oldest, minutes.keep_days) == (1440, 1440, yesterday, 90)
    assert minutes.bytes_a_row and minutes.full_bytes == 90 * int(1440 * minutes.bytes_a_row)
    assert minutes.full_at == yesterday + timedelta(days=90) and found.bytes < found.database_bytes
    assert len(queries_of(lambda: storage(now))) == 5


def test_the_page_and_the_api_say_the_same() -> None:
    cast = make_cast()
    page = sign_in(cast.operator).get(reverse("reports:storage"))
    assert page.status_code == 200 and "TELEMETRY_KEEP_MINUTES_DAYS" in page.content.decode()
    answer = api_of(cast.operator).get("/api/v1/storage/").data
    assert [table["name"] for table in answer["tables"]] == [each.name for each in page.context["storage"].tables]
    assert {"telemetry_sample", "telemetry_deviceday", "allocations_usagehour"} <= {t["name"] for t in answer["tables"]}
