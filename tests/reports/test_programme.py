"""The programme's figures: what was asked, awarded and used, how long it took, what energy it stands for."""

from datetime import timedelta

import pytest
from django.test import override_settings
from django.urls import reverse
from django.utils import timezone

from allocations.models import Allocation, UsageDay
from allocations.selectors.usage import UsageSums
from allocations.services.usage import deciding
from common.moments import agency_day
from partners.models import Organisation
from proposals.models import Proposal
from proposals.services.answers import accept
from reports.selectors.programme import carbon_of, programme, quantile
from tests.allocations.test_api import client as api_of
from tests.allocations.test_views import sign_in
from tests.allocations.usage.measuring import held
from tests.proposals.stage import Stage, make_stage
from tests.queries import queries_of

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
KWH = 3_600_000


@pytest.fixture
def told(db: None) -> Stage:
    """One proposal of Gwangju awarded in part, accepted, and its four GPUs used for a day; another that waits."""
    stage = make_stage()
    Organisation.objects.filter(pk=stage.cast.organisation.pk).update(region="gwangju", size="small")
    first = stage.awarded(gpu_seconds=200 * 3600)
    accept(actor=stage.cast.owner, proposal=first)
    stage.submitted()
    now = timezone.now()
    Proposal.objects.filter(pk=first.pk).update(submitted_at=now - 30 * HOUR)
    allocation = Allocation.objects.get()
    devices = stage.pool.nodes.get().devices.all()[:4]
    times = {"start": now - 6 * HOUR, "end": now + HOUR, "active_at": now - 6 * HOUR}
    lease = held(devices, **times, allocation=allocation, booked_by=stage.cast.owner)
    held(
        stage.pool.nodes.get().devices.all()[4:5],
        start=now - HOUR,
        end=now + HOUR,
        allocation=allocation,
        booked_by=stage.cast.owner,
    )
    figures = {"used_seconds": 3 * 3600, "idle_seconds": 3600, "energy_j": 10 * KWH}
    UsageDay.objects.create(lease=lease, day=agency_day(now), held_seconds=4 * 3600, **figures)
    deciding.make_totals([lease.pk])
    return stage


def test_asked_awarded_and_used_by_call_region_and_size(told: Stage) -> None:
    today = agency_day(timezone.now())
    found = programme(told.cast.officer, today - timedelta(days=9), today)
    whole = found.whole
    assert (whole.proposals, whole.given, whole.asked, whole.awarded) == (2, 1, 800 * 3600, 200 * 3600)
    assert (whole.use.held_seconds, whole.use.used_seconds) == (4 * 3600, 3 * 3600)
    assert [row.use for row in found.calls] == [row.use for row in found.regions] == [whole.use]
    assert [row.name for row in found.regions] == [Organisation.Region.GWANGJU.label]
    assert [row.name for row in found.sizes] == [Organisation.Size.SMALL.label]
    # Four GPUs make an hour together in a quarter of one.
    assert [round(wait / HOUR, 2) for wait in whole.waits] == [24.25]
    assert found.used.idle_share == 0.25 and len(found.bars) == 10 and found.bars[-1][1] == found.used
    earlier = programme(told.cast.officer, today - timedelta(days=400), today - timedelta(days=300))
    assert earlier.whole.proposals == 0 and earlier.calls == () and not earlier.used


def test_carbon_says_whose_factor_it_is() -> None:
    sums = UsageSums(energy_j=1000 * KWH)
    assert round(carbon_of(sums).kilograms, 1) == 417.3 and "2023" in carbon_of(sums).source
    with override_settings(CARBON_GRAMS_PER_MWH=100_000):
        assert carbon_of(sums).kilograms == 100 and "CARBON_GRAMS_PER_MWH" in carbon_of(sums).source
    with override_settings(CARBON_GRAMS_PER_MWH=0, CARBON_SOURCE="own solar plant"):
        assert (carbon_of(sums).kilograms, carbon_of(sums).source) == (0, "own solar plant")


def test_quantiles() -> None:
    waits = [timedelta(hours=hour) for hour in range(10, 0, -1)]
    assert quantile(waits, 0.5) == 5 * HOUR and quantile(waits, 0.9) == 9 * HOUR
    assert quantile(waits[:1], 0.5) == quantile(waits[:1], 0.9) == 10 * HOUR and quantile([], 0.5) is None


def test_page_api_and_file_say_the_same(told: Stage) -> None:
    address = reverse("reports:programme")
    client = api_of(told.cast.officer)
    answer = client.get("/api/v1/programme/").json()
    assert answer["whole"]["asked_seconds"] == 800 * 3600 and answer["calls"][0]["use"]["used_seconds"] == 3 * 3600
    assert answer["carbon"]["grams_per_mwh"] == 417_300 and round(answer["carbon"]["kilograms"], 3) == 4.173
    assert client.get("/api/v1/programme/?since=2026-13-01").status_code == 400
    assert client.get("/api/v1/programme/?since=1999-01-01").status_code == 400
    assert api_of(told.cast.owner).get("/api/v1/programme/").status_code == 404
    browser = sign_in(told.cast.officer)
    page = browser.get(f"{address}?print=1")
    assert page.status_code == 200 and page.content.count(b"data-chart-json") == 5
    assert page.context["programme"].whole.asked == 800 * 3600
    file = b"".join(browser.get(f"{address}?format=csv").streaming_content).decode()
    assert told.call.title in file and "4.173" in file
    assert len(queries_of(lambda: browser.get(address))) <= 15
