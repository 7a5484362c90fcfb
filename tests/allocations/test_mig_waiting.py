"""Waiting for MIG instances: asked for by profile, counted as parts of a GPU, served beside whole GPUs."""

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from allocations.models import Lease, WaitEntry
from allocations.selectors import balances
from allocations.services import ending, offering
from allocations.shapes import Shape
from cluster.models import Pool
from common.errors import RuleBroken
from notifications.models import Notification
from tests.allocations.conftest import Stage
from tests.allocations.test_api import client as api_of
from tests.allocations.test_serving import cancel, offered
from tests.allocations.test_views import sign_in
from tests.allocations.waiting import HOUR, join, owner_of, rival, serve
from tests.factories import AllocationFactory, cut
from tests.html import Reading

SMALL, HALF = "1g.10gb", "3g.40gb"


@pytest.fixture
def cut_up(stage: Stage) -> Stage:
    """A GPU is cut into seven small instances, another into two halves; ten are whole. Nodes are shared."""
    stage.pool.shared_nodes = True
    stage.pool.save(update_fields=["shared_nodes"])
    cut(stage.big.devices.get(index=0), *[SMALL] * 7)
    cut(stage.big.devices.get(index=1), *[HALF] * 2)
    return stage


def taken(stage: Stage, count: int = 7, profile: str = SMALL) -> Lease:
    """Booked by the cast's own organisation for the next ten hours, under an award of its own."""
    award = AllocationFactory(project=stage.cast.project, pool=stage.pool)
    return stage.book(count, start=0.1, hours=10, allocation=award, profile=profile)


def test_an_offer_is_of_instances_and_holds_their_part_of_the_hours(cut_up: Stage) -> None:
    lease = taken(cut_up)
    entry = join(cut_up, rival(cut_up), 3, 2, profile=SMALL)
    assert (entry.profile, entry.share * 8, serve(cut_up)) == (SMALL, 1, 0)
    cancel(cut_up, lease)
    serve(cut_up)
    assert offered(entry) and entry.lease
    held = [row.device for row in entry.lease.placements.filter(released=False).select_related("device")]
    assert [device.profile for device in held] == [SMALL] * 3
    assert balances.balance(entry.allocation).held == 3 * 7200 // 8
    assert "3 × MIG 1g.10gb" in Notification.objects.get(event="offer_made", recipient=entry.asked_by).subject
    assert offering.accept(actor=entry.asked_by, lease=entry.lease).state == "scheduled"


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("profile", {"profile": "4g.40gb"}),
        ("shape", {"shape": Shape("nvlink")}),
        ("never_that_many", {"count": 8, "award": {"concurrent_gpus": 1}}),
        ("concurrent_gpus", {"count": 9, "award": {"concurrent_gpus": 1}}),
        ("balance", {"count": 4, "award": {"awarded_gpu_seconds": 4 * 7200 // 8 - 1}}),
        ("free_now", {"profile": HALF, "count": 2}),
    ],
)
def test_what_could_never_pass_is_refused_at_once(cut_up: Stage, code: str, changes: dict[str, Any]) -> None:
    taken(cut_up)
    asked = {"count": 2, "profile": SMALL, **changes}
    award = rival(cut_up, **asked.pop("award", {}))
    with pytest.raises(RuleBroken) as refused:
        join(cut_up, award, **asked)
    assert refused.value.code == code, refused.value


def test_parts_wait_within_one_gpu_of_an_award(cut_up: Stage) -> None:
    lease, award = taken(cut_up), rival(cut_up, concurrent_gpus=1, awarded_gpu_seconds=7 * 7200 // 8)
    entry = join(cut_up, award, 7, profile=SMALL)
    cancel(cut_up, lease)
    serve(cut_up)
    assert offered(entry) == [entry]


def waiting_for_seven(stage: Stage) -> tuple[list[Lease], WaitEntry, list[WaitEntry]]:
    """All small instances are taken, in two reservations; one waits for all of them, and two behind it for three."""
    leases = [taken(stage, 4), taken(stage, 3)]
    head = join(stage, rival(stage), 7, profile=SMALL)
    return leases, head, [join(stage, rival(stage), 3, profile=SMALL) for _turn in range(2)]


def test_the_head_is_protected_from_being_overtaken(cut_up: Stage) -> None:
    (four, three), head, behind = waiting_for_seven(cut_up)
    cancel(cut_up, four)
    serve(cut_up)
    assert offered(head, *behind) == behind[:1]
    head.refresh_from_db()
    assert head.passed_over == 1
    WaitEntry.objects.filter(pk=head.pk).update(passed_over=3)
    ending.reclaim(actor=cut_up.cast.officer, lease=Lease.objects.get(wait_entry=behind[0]), reason="makes room")
    serve(cut_up)
    assert not offered(head, *behind), "what comes nearest to the head's ask is kept for it"
    cancel(cut_up, three)
    serve(cut_up)
    assert offered(head, *behind) == [head]


@pytest.mark.parametrize("shared", [True, False])
def test_kinds_compete_only_where_a_node_is_lent_to_one_organisation(cut_up: Stage, shared: bool) -> None:
    Pool.objects.filter(pk=cut_up.pool.pk).update(shared_nodes=shared)
    small, half = taken(cut_up), taken(cut_up, 2, HALF)
    halves = join(cut_up, rival(cut_up), 2, profile=HALF)
    WaitEntry.objects.filter(pk=halves.pk).update(passed_over=3)
    smalls = join(cut_up, AllocationFactory(project=cut_up.cast.project, pool=cut_up.pool), 2, profile=SMALL)
    cancel(cut_up, small)
    serve(cut_up)
    assert bool(offered(smalls)) == shared, "kept off by whoever is protected, where they can be in each other's way"
    halves.refresh_from_db()
    assert halves.passed_over == 3 and half.state == "scheduled"


def test_page_and_api_take_a_profile_and_the_queue_shows_it(cut_up: Stage) -> None:
    taken(cut_up)
    award = rival(cut_up)
    page, address = sign_in(owner_of(award)), reverse("allocations:wait", args=[award.public_id])
    start = timezone.localtime(cut_up.now + HOUR)
    window = {"earliest": f"{start:%Y-%m-%dT%H:%M}", "latest": f"{start + 3 * HOUR:%Y-%m-%dT%H:%M}"}
    book = {"profile": SMALL, "device_count": "2", "starts_at": window["earliest"], "length": "3600", "shape": "any"}
    refused = page.post(reverse("allocations:book", args=[award.public_id]), book)
    assert (
        refused.status_code == 422 and page.get(refused.context["wait_url"]).context["form"].initial["profile"] == SMALL
    )
    asked = {"profile": SMALL, "device_count": "2", "length": "2", "unit": "3600", "shape": "any", **window}
    find = page.get(reverse("allocations:find"), asked | {"where": award.public_id})
    assert f"profile={SMALL}" in find.context["waits"][0][1]
    assert page.post(address, asked).status_code == 302
    entry = WaitEntry.objects.get()
    assert (entry.profile, entry.device_count) == (SMALL, 2)
    shown = page.get(reverse("allocations:waitlist")).content.decode()
    assert f"2 × MIG {SMALL}" in shown and f"2 × {SMALL}" in shown
    assert not Reading(shown).errors

    api = api_of(cut_up.cast.owner)
    body = {"allocation": cut_up.allocation.public_id, "gpus": 3, "profile": SMALL, "duration_seconds": 7200}
    body |= {"from": start.isoformat(), "until": (start + 3 * HOUR).isoformat()}
    made = api.post("/api/v1/waitlist/", body, format="json")
    assert made.status_code == 201 and made.json()["profile"] == SMALL, made.content
    (queue,) = api.get("/api/v1/waitlist/queues/").json()
    assert [row["profile"] for row in queue["waiting"]] == [SMALL, SMALL]
