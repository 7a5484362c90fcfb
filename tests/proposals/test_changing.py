"""More hours, a longer term, another pool, another lead: asked by the partner, decided by one officer or two."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from accounts.models import User
from allocations.models import Allocation, Envelope, LedgerEntry
from allocations.selectors.balances import balance
from allocations.selectors.proof import ledger_faults
from allocations.services import booking
from audit.models import AuditEvent
from common.errors import Forbidden, InvalidTransition, RuleBroken
from notifications.models import Notification
from partners.models import Agreement
from proposals.models import Call, ChangeRequest
from proposals.selectors import committed
from proposals.services import changing, decisions
from proposals.services.change_checks import Wish
from tests.factories import AllocationFactory, PoolFactory, UserFactory, grant_role, make_node
from tests.proposals.stage import HOUR, Stage, browser


@pytest.fixture
def allocation(stage: Stage) -> Allocation:
    """400 GPU-hours, four GPUs at once, from tomorrow, out of an accepted award; two of them guaranteed."""
    project = decisions.accept(actor=stage.cast.owner, proposal=stage.awarded(guaranteed_gpus=2))
    return Allocation.objects.select_related("project__organisation", "project__agreement", "pool").get(project=project)


def asked(stage: Stage, allocation: Allocation, **wish: Any) -> ChangeRequest:
    return changing.ask(actor=stage.cast.manager, allocation=allocation, wish=Wish(**wish), reason="It goes well.")


def test_more_hours_come_at_once_and_both_pictures_are_kept(stage: Stage, allocation: Allocation) -> None:
    change = asked(stage, allocation, kind="hours", gpu_seconds=100 * HOUR)
    assert Notification.objects.filter(event="change_asked", recipient=stage.cast.officer).exists()
    made = changing.grant(actor=stage.cast.officer, change=change)
    assert (made.before["awarded_gpu_hours"], made.after["awarded_gpu_hours"]) == ("400.00", "500.00")
    allocation.refresh_from_db()
    assert (allocation.awarded_gpu_seconds, balance(allocation).left) == (500 * HOUR, 500 * HOUR)
    event = AuditEvent.objects.get(verb="change.grant")
    assert event.changes["after"]["left_gpu_hours"] == "500.00" and not list(ledger_faults())
    with pytest.raises(InvalidTransition):
        changing.grant(actor=stage.cast.officer, change=change)


def test_what_else_is_sent_along_is_not_asked_for_and_ones_own_organisation_is_not_granted(
    stage: Stage, allocation: Allocation
) -> None:
    change = asked(
        stage, allocation, kind="hours", gpu_seconds=HOUR, valid_until=allocation.valid_until, lead=stage.cast.teammate
    )
    assert (change.valid_until, change.pool, change.lead) == (None, None, None)
    own = User.objects.get(pk=grant_role(stage.cast.viewer, "officer").pk)
    for act in (changing.grant, changing.decline):
        with pytest.raises(RuleBroken) as caught:
            act(actor=own, change=change, reason="x")
        assert caught.value.code == "own_organisation"


def test_the_agreement_the_term_and_the_pool_refuse_as_they_do_an_award(stage: Stage, allocation: Allocation) -> None:
    with pytest.raises(RuleBroken) as caught:
        asked(stage, allocation, kind="hours", gpu_seconds=10_000 * HOUR)
    assert caught.value.code == "hours_exceed_window"
    change = asked(stage, allocation, kind="hours", gpu_seconds=100 * HOUR)
    Agreement.objects.update(ceiling_gpu_seconds=499 * HOUR)
    with pytest.raises(RuleBroken) as caught:
        changing.grant(actor=stage.cast.officer, change=change)
    assert caught.value.code == "ceiling_gpu_hours"
    with pytest.raises(RuleBroken) as caught:
        asked(stage, allocation, kind="term", valid_until=allocation.valid_until + timedelta(days=3_000))
    assert (caught.value.code, caught.value.field) == ("outside_term", "window_until")
    with pytest.raises(RuleBroken) as caught:
        asked(stage, allocation, kind="hours", gpu_seconds=HOUR)
    assert caught.value.code == "asked_already"


def test_a_longer_term_keeps_what_is_guaranteed(stage: Stage, allocation: Allocation) -> None:
    later = allocation.valid_until + timedelta(days=20)
    changing.grant(actor=stage.cast.officer, change=asked(stage, allocation, kind="term", valid_until=later))
    allocation.refresh_from_db()
    envelope = Envelope.objects.get()
    assert allocation.valid_until == envelope.ends_at == later
    Allocation.objects.filter(pk=allocation.pk).update(state="active")
    start = later - timedelta(days=2)
    lease = booking.book(
        actor=stage.cast.owner,
        allocation=allocation,
        device_count=2,
        starts_at=start,
        ends_at=start + timedelta(hours=3),
    )
    assert lease.placements.count() == 2


def test_a_term_is_not_prolonged_past_what_the_pool_may_promise(stage: Stage, allocation: Allocation) -> None:
    stage.pool.overcommit_percent = 0
    stage.pool.save()
    later = allocation.valid_until + timedelta(days=20)
    other = stage.submitted(
        stage.line(
            gpus=6,
            hours=50,
            window_from=allocation.valid_until.date() + timedelta(days=2),
            window_until=later.date() + timedelta(days=2),
        )
    )
    decisions.award(actor=stage.cast.officer, proposal=other, lines=[stage.ask(other, guaranteed_gpus=0)])
    with pytest.raises(RuleBroken) as caught:
        asked(stage, allocation, kind="term", valid_until=later)
    assert (caught.value.code, caught.value.field) == ("over_committed", "valid_until")


def test_the_rest_moves_to_another_pool_and_counts_once(stage: Stage, allocation: Allocation) -> None:
    pool = PoolFactory(name="h100-b")
    make_node(pool)
    before = committed(allocation.project.agreement)
    change = changing.grant(actor=stage.cast.officer, change=asked(stage, allocation, kind="pool", pool=pool))
    made = Allocation.objects.get(public_id=change.result_ref)
    assert made.get_absolute_url() in browser(stage.cast.owner).get(change.get_absolute_url()).content.decode()
    allocation.refresh_from_db()
    assert (made.pool, made.awarded_gpu_seconds, made.concurrent_gpus) == (pool, 400 * HOUR, 4)
    assert (made.guaranteed_gpus, made.envelope.pool) == (2, pool)
    assert (allocation.state, allocation.awarded_gpu_seconds, balance(allocation).left) == ("closed", 0, 0)
    after = committed(allocation.project.agreement)
    assert (after.gpu_seconds, after.concurrent_gpus) == (before.gpu_seconds, before.concurrent_gpus)
    assert Envelope.objects.get(pool=stage.pool).let_go_at and not list(ledger_faults())
    assert LedgerEntry.objects.filter(allocation=allocation, device_seconds=-400 * HOUR, kind="award").exists()


def test_nothing_moves_while_reservations_are_open(stage: Stage, allocation: Allocation) -> None:
    pool = PoolFactory(name="h100-b")
    make_node(pool)
    Allocation.objects.filter(pk=allocation.pk).update(state="active")
    start = allocation.valid_from + timedelta(hours=1)
    lease = booking.book(
        actor=stage.cast.owner,
        allocation=allocation,
        device_count=1,
        starts_at=start,
        ends_at=start + timedelta(hours=3),
    )
    change = asked(stage, allocation, kind="pool", pool=pool)
    with pytest.raises(RuleBroken) as caught:
        changing.grant(actor=stage.cast.officer, change=change)
    assert caught.value.code == "open_leases" and ChangeRequest.objects.get().state == "asked"
    assert lease.public_id in str(caught.value) and caught.value.facts["leases"] == [lease.public_id]


def test_a_project_is_handed_over_within_its_organisation(stage: Stage, allocation: Allocation) -> None:
    for person in (stage.cast.outsider, stage.cast.viewer, stage.cast.owner):  # the last one leads it already
        with pytest.raises(RuleBroken):
            asked(stage, allocation, kind="lead", lead=person)
    change = asked(stage, allocation, kind="lead", lead=stage.cast.teammate)
    made = changing.grant(actor=stage.cast.officer, change=change)
    assert (made.before["lead"], made.after["lead"]) == ("Owner", "Teammate")
    leads = allocation.project.team.filter(is_lead=True)
    assert [row.user for row in leads] == [stage.cast.teammate] and allocation.project.team.count() == 2


def test_where_nothing_else_can_be_chosen_the_pages_say_so(stage: Stage, allocation: Allocation) -> None:
    owner = browser(stage.cast.owner)
    address = reverse("proposals:change-request-new", args=[allocation.public_id])
    PoolFactory(name="t4-a", gpu_class__code="t4-16")  # of a class that the agreement does not cover
    form = {
        kind: reverse("proposals:change-request-ask", args=[allocation.public_id, kind]) for kind in ("pool", "lead")
    }
    page = owner.get(address).content.decode()
    assert "There is no other pool" in page and form["pool"] not in page and form["lead"] in page
    assert "There is no other pool" in owner.get(form["pool"], follow=True).content.decode()
    offered = owner.get(form["lead"]).content.decode()
    assert stage.cast.teammate.public_id in offered and f'value="{stage.cast.owner.public_id}"' not in offered
    PoolFactory(name="h100-b")
    assert f"h100-b ({stage.pool.gpu_class.name})" in owner.get(form["pool"]).content.decode()
    stage.cast.organisation.memberships.exclude(user=stage.cast.owner).delete()
    assert "nobody else can lead" in owner.get(form["lead"], follow=True).content.decode()


def test_hours_in_a_refusal_and_on_the_page_have_separators(stage: Stage, allocation: Allocation) -> None:
    with pytest.raises(RuleBroken, match=r"2,880\.00"):
        asked(stage, allocation, kind="hours", gpu_seconds=10_000 * HOUR)
    change = asked(stage, allocation, kind="hours", gpu_seconds=HOUR)
    change.before["awarded_gpu_hours"] = "12345.50"
    change.save()
    assert "12,345.50" in browser(stage.cast.owner).get(change.get_absolute_url()).content.decode()


def test_a_large_one_takes_two_officers(stage: Stage, allocation: Allocation) -> None:
    Call.objects.update(two_person_gpu_seconds=450 * HOUR)
    change = asked(stage, allocation, kind="hours", gpu_seconds=50 * HOUR)
    first = changing.grant(actor=stage.cast.officer, change=change)
    assert (first.state, first.approved_by) == ("approved", stage.cast.officer)
    with pytest.raises(RuleBroken) as caught:
        changing.grant(actor=stage.cast.officer, change=change)
    assert caught.value.code == "second_person"
    made = changing.grant(actor=grant_role(UserFactory(), "officer"), change=change)
    assert made.state == "granted" and Allocation.objects.get().awarded_gpu_seconds == 450 * HOUR


def test_a_large_award_of_several_lines_is_not_changed_line_by_line_by_one_officer(
    stage: Stage, allocation: Allocation
) -> None:
    AllocationFactory(
        project=allocation.project, pool=allocation.pool, awarded_gpu_seconds=40 * HOUR, concurrent_gpus=1
    )
    Call.objects.update(two_person_gpu_seconds=450 * HOUR)
    small = asked(stage, allocation, kind="hours", gpu_seconds=9 * HOUR)
    assert changing.grant(actor=stage.cast.officer, change=small).state == "granted"
    change = asked(stage, allocation, kind="hours", gpu_seconds=HOUR)
    assert changing.grant(actor=stage.cast.officer, change=change).state == "approved"


def test_who_asks_who_decides_and_what_is_said(stage: Stage, allocation: Allocation) -> None:
    for who in ("teammate", "outsider", "officer"):
        with pytest.raises(Forbidden):
            changing.ask(
                actor=getattr(stage.cast, who), allocation=allocation, wish=Wish("hours", gpu_seconds=HOUR), reason="x"
            )
    change = asked(stage, allocation, kind="hours", gpu_seconds=HOUR)
    for who in ("owner", "operator", "auditor", "reviewer"):
        with pytest.raises(Forbidden):
            changing.grant(actor=getattr(stage.cast, who), change=change)
    changing.decline(actor=stage.cast.officer, change=change, reason="The pool is short.")
    assert "The pool is short." in Notification.objects.filter(event="change_declined")[0].body
    again = asked(stage, allocation, kind="hours", gpu_seconds=HOUR)
    assert changing.withdraw(actor=stage.cast.owner, change=again).state == "withdrawn"


def test_the_pages_and_the_api_of_a_change(stage: Stage, allocation: Allocation) -> None:
    owner, officer = browser(stage.cast.owner), browser(stage.cast.officer)
    listed = reverse("proposals:change-requests") + f"?allocation={allocation.public_id}"
    address = reverse("proposals:change-request-new", args=[allocation.public_id])
    assert address in owner.get(listed).content.decode() and address not in officer.get(listed).content.decode()
    form = reverse("proposals:change-request-ask", args=[allocation.public_id, "term"])
    assert form in owner.get(address).content.decode()
    fields = owner.get(form).content.decode()
    assert 'name="valid_until"' in fields and not any(f'name="{name}"' in fields for name in ("hours", "pool", "lead"))
    assert owner.get(form.replace("/term/", "/colour/")).status_code == 404
    said = {"valid_until": "", "reason": "We are late."}
    assert owner.post(form, said).status_code == 422
    last = (allocation.valid_until + timedelta(days=5)).date().isoformat()
    page = owner.post(form, said | {"valid_until": last}).headers["Location"]
    assert page in owner.get(address).content.decode()  # asked for already
    assert officer.post(reverse("proposals:change-request-grant", args=[page.split("/")[-2]])).status_code == 302
    shown = owner.get(page).content.decode()
    assert "Before" in shown and "After" in shown and "00:00 KST" in shown
    assert browser(stage.cast.outsider).get(page).status_code == 404
    body = {"allocation": allocation.public_id, "kind": "hours", "gpu_seconds": HOUR, "reason": "More."}
    made = owner.post("/api/v1/change-requests/", body, content_type="application/json")
    assert made.status_code == 201
    granted = officer.post(f"/api/v1/change-requests/{made.json()['id']}/grant/", content_type="application/json")
    assert granted.json()["after"]["awarded_gpu_hours"] == "401.00"
