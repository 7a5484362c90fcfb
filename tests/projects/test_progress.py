"""Half of an award waits for a progress report: held back, reported, accepted, granted."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from allocations.models import Allocation
from allocations.selectors.balances import balance, committed
from allocations.selectors.proof import ledger_faults
from allocations.services.held_back import part_of
from common.errors import DomainError, Forbidden, InvalidTransition
from notifications.models import Notification
from projects import services
from projects.models import Project
from proposals.models import Call, Proposal
from proposals.services import changing, decisions
from tests.proposals.stage import Stage, browser, make_stage

HOUR = 3600


@pytest.fixture
def stage(db: None) -> Stage:
    """A call that holds back 40 per cent."""
    made = make_stage()
    Call.objects.filter(pk=made.call.pk).update(held_back_percent=40)
    made.call.refresh_from_db()
    return made


@pytest.fixture
def project(stage: Stage) -> Project:
    """Of an accepted award of 400 GPU-hours."""
    return decisions.accept(actor=stage.cast.owner, proposal=stage.awarded())


def content(stage: Stage, **changes: Any) -> services.Progress:
    return services.Progress(
        **{"period_from": stage.today, "period_until": stage.today, "achieved": "Trained.", **changes}
    )


def test_a_part_is_held_back_and_the_ceiling_counts_the_whole(stage: Stage, project: Project) -> None:
    allocation = Allocation.objects.get(project=project)
    assert (allocation.awarded_gpu_seconds, allocation.held_back_gpu_seconds) == (400 * HOUR, 160 * HOUR)
    assert balance(allocation).left == 240 * HOUR and committed(stage.cast.agreement).gpu_seconds >= 400 * HOUR
    owner = browser(stage.cast.owner)
    assert "160.00 GPU-hours are held back" in owner.get(project.get_absolute_url()).content.decode()
    shown = owner.get(allocation.get_absolute_url()).content.decode()
    assert "160.00 of these held back" in shown and "left of the 240.00 granted so far" in shown
    proposal = Proposal.objects.get(public_id=project.proposal_ref)
    asked = owner.get(proposal.get_absolute_url()).content.decode()
    assert "Of the 400.00 awarded GPU-hours, 240.00 can be booked at first. The other 160.00 (40 %)" in asked
    assert part_of(101, 50) == 50


def test_hours_that_are_added_are_held_back_until_a_report_is_accepted(stage: Stage, project: Project) -> None:
    def add(hours: int) -> Allocation:
        allocation = Allocation.objects.select_related("project__organisation").get(project=project)
        wish = changing.Wish("hours", gpu_seconds=hours * HOUR)
        change = changing.ask(actor=stage.cast.owner, allocation=allocation, wish=wish, reason="It goes well.")
        changing.grant(actor=stage.cast.officer, change=change)
        return Allocation.objects.get(project=project)

    allocation = add(100)
    assert (allocation.awarded_gpu_seconds, allocation.held_back_gpu_seconds) == (500 * HOUR, 200 * HOUR)
    assert balance(allocation).left == 300 * HOUR
    report = services.submit_report(actor=stage.cast.owner, project=project, content=content(stage))
    services.accept_report(actor=stage.cast.officer, report=report)
    allocation = add(50)  # the report is there: nothing waits for it any more
    assert (allocation.held_back_gpu_seconds, balance(allocation).left) == (0, 550 * HOUR)
    assert not list(ledger_faults())


def test_an_accepted_report_grants_the_rest_once(stage: Stage, project: Project) -> None:
    before = committed(stage.cast.agreement).gpu_seconds
    sent = browser(stage.cast.owner).post(
        reverse("projects:progress-new", args=[project.public_id]),
        {"period_from": str(stage.today), "period_until": str(stage.today), "achieved": "학습을 마쳤습니다."},
    )
    report = project.progress_reports.get()
    assert sent.status_code == 302 and sent.url == report.get_absolute_url()
    assert Notification.objects.filter(recipient=stage.cast.officer, event="progress_submitted").exists()
    officer = browser(stage.cast.officer)
    assert report.project.title in officer.get(reverse("projects:progress-list")).content.decode()
    assert officer.post(reverse("projects:progress-accept", args=[report.public_id])).status_code == 302
    allocation = Allocation.objects.get(project=project)
    assert (allocation.held_back_gpu_seconds, balance(allocation).left) == (0, 400 * HOUR)
    assert [row.device_seconds for row in allocation.ledger.filter(kind="award")] == [240 * HOUR, 160 * HOUR]
    assert committed(stage.cast.agreement).gpu_seconds == before
    assert not list(ledger_faults())
    with pytest.raises(InvalidTransition):
        services.accept_report(actor=stage.cast.officer, report=report)


def test_a_report_is_sent_back_with_a_reason_and_comes_again(stage: Stage, project: Project) -> None:
    report = services.submit_report(actor=stage.cast.owner, project=project, content=content(stage))
    officer, owner = browser(stage.cast.officer), browser(stage.cast.owner)
    page = reverse("projects:progress-send-back", args=[report.public_id])
    assert officer.post(page, {"reason": " "}).status_code == 422
    assert officer.post(page, {"reason": "No figures."}).status_code == 302
    assert "No figures." in owner.get(report.get_absolute_url()).content.decode()
    again = {"period_from": str(stage.today), "period_until": str(stage.today), "achieved": "With figures."}
    assert owner.post(reverse("projects:progress-edit", args=[report.public_id]), again).status_code == 302
    report.refresh_from_db()
    assert (report.state, report.achieved) == ("submitted", "With figures.")
    assert Allocation.objects.get(project=project).held_back_gpu_seconds == 160 * HOUR


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"achieved": " "}, "achieved"),
        ({"achieved": "x" * 20_001}, "achieved"),
        ({"period_from": "late"}, "period_until"),
        ({"period_from": "before the project"}, "period_from"),
    ],
)
def test_what_a_report_lacks_stands_on_its_field(stage: Stage, project: Project, changes: Any, field: str) -> None:
    if changes.get("period_from") == "before the project":
        changes = {"period_from": project.began_on - timedelta(days=1)}
    elif "period_from" in changes:
        changes = {"period_from": stage.today, "period_until": stage.today.replace(year=stage.today.year - 1)}
    with pytest.raises(DomainError) as caught:
        services.submit_report(actor=stage.cast.owner, project=project, content=content(stage, **changes))
    assert caught.value.field == field


def test_one_report_is_open_at_a_time_and_roles_hold(stage: Stage, project: Project) -> None:
    for who in (stage.cast.viewer, stage.cast.teammate, stage.cast.officer, stage.cast.outsider):
        with pytest.raises(Forbidden):
            services.submit_report(actor=who, project=project, content=content(stage))
    report = services.submit_report(actor=stage.cast.owner, project=project, content=content(stage))
    with pytest.raises(DomainError) as caught:
        services.submit_report(actor=stage.cast.owner, project=project, content=content(stage))
    assert caught.value.code == "report_open"
    for who in (stage.cast.owner, stage.cast.operator, stage.cast.auditor):
        with pytest.raises(Forbidden):
            services.accept_report(actor=who, report=report)


def test_the_api_does_the_same(stage: Stage, project: Project) -> None:
    api = APIClient()
    api.force_authenticate(stage.cast.owner)
    day = str(stage.today)
    body = {"project": project.public_id, "period_from": day, "period_until": day, "achieved": "Done."}
    made = api.post("/api/v1/progress-reports/", body, format="json")
    assert made.status_code == 201, made.data
    url = f"/api/v1/progress-reports/{made.data['id']}/"
    assert api.post(f"{url}accept/").status_code == 403
    api.force_authenticate(stage.cast.officer)
    assert api.post(f"{url}send_back/", {"reason": "More."}, format="json").data["state"] == "returned"
    api.force_authenticate(stage.cast.owner)
    assert api.post(f"{url}submit/", body, format="json").data["state"] == "submitted"
    api.force_authenticate(stage.cast.officer)
    assert api.post(f"{url}accept/").data["state"] == "accepted"
    api.force_authenticate(stage.cast.outsider)
    assert api.get(url).status_code == 404
