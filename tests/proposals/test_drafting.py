"""Saving, submitting and withdrawing."""

import re
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from audit.models import AuditEvent
from common.errors import Forbidden, InvalidTransition, RuleBroken, WrongState
from notifications.models import Notification
from partners.models import Agreement
from proposals.models import Proposal
from proposals.services import drafting
from tests.factories import AgreementFactory
from tests.proposals.stage import HOUR, Stage, make_stage


def refused(stage: Stage, *lines: Any, **changes: Any) -> RuleBroken:
    with pytest.raises(RuleBroken) as caught:
        drafting.submit(actor=stage.cast.owner, proposal=stage.draft(*lines, **changes))
    return caught.value


def test_submitting_gives_a_number_keeps_a_version_and_tells_the_officers(stage: Stage) -> None:
    proposal = stage.submitted()
    assert re.fullmatch(r"\d{4}-\d{4}", proposal.number or "")
    assert (proposal.state, proposal.version) == ("submitted", 1)
    assert proposal.versions.get().content["lines"][0]["gpus"] == 4
    assert Notification.objects.get(event="proposal_submitted").recipient == stage.cast.officer
    assert AuditEvent.objects.filter(verb="proposal.submit", target_id=proposal.public_id).count() == 1


def test_numbers_follow_each_other(stage: Stage) -> None:
    first, second = stage.submitted().number or "", stage.submitted().number or ""
    assert int(second[-4:]) == int(first[-4:]) + 1


@pytest.mark.django_db(transaction=True, available_apps=[app.name for app in apps.get_app_configs()])
def test_two_submissions_at_once_get_two_numbers() -> None:
    stage = make_stage()
    drafts = [stage.draft() for _turn in range(4)]

    def hand_in(proposal: Proposal) -> None:
        try:
            drafting.submit(actor=stage.cast.owner, proposal=proposal)
        finally:
            connection.close()

    threads = [threading.Thread(target=hand_in, args=(draft,)) for draft in drafts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(Proposal.objects.values_list("number", flat=True))) == 4


def test_a_draft_may_be_incomplete_and_a_submission_may_not(stage: Stage) -> None:
    draft = drafting.save_draft(
        actor=stage.cast.manager,
        call=stage.call,
        agreement=stage.cast.agreement,
        content=stage.content(purposes=[], plan="", lines=[]),
    )
    with pytest.raises(RuleBroken) as caught:
        drafting.submit(actor=stage.cast.manager, proposal=draft)
    assert (caught.value.code, caught.value.field) == ("incomplete", "purposes")


@pytest.mark.parametrize("who", ["teammate", "viewer", "outsider", "officer", "reviewer"])
def test_only_owners_and_managers_propose(stage: Stage, who: str) -> None:
    with pytest.raises(Forbidden):
        drafting.save_draft(
            actor=getattr(stage.cast, who), call=stage.call, agreement=stage.cast.agreement, content=stage.content()
        )


def test_past_the_gpu_hours_of_the_agreement_is_refused_with_the_ceiling_and_what_is_left(stage: Stage) -> None:
    Agreement.objects.update(ceiling_gpu_seconds=500 * HOUR)
    error = refused(stage, stage.line(), stage.line())
    assert (error.code, error.field) == ("ceiling_gpu_hours", "lines.1.hours")
    assert error.facts["ceiling"] == "500.00"
    assert error.facts["left"] == "100.00"
    assert "100" in str(error.remedy)


def test_past_the_concurrent_gpus_is_refused_and_lines_one_after_the_other_are_not(stage: Stage) -> None:
    Agreement.objects.update(ceiling_concurrent_gpus=6)
    line = stage.line()
    error = refused(stage, line, line)
    assert (error.code, error.field, error.facts["left"]) == ("ceiling_concurrent_gpus", "lines.1.gpus", 2)
    after = stage.line(
        window_from=line.window_until + timedelta(days=1), window_until=line.window_until + timedelta(days=20)
    )
    assert stage.submitted(line, after).state == "submitted"


def test_a_class_or_a_day_outside_the_agreement_is_refused(stage: Stage) -> None:
    Agreement.objects.update(gpu_classes=["a100-sxm-80"])
    assert refused(stage).field == "lines.0.gpu_class"
    Agreement.objects.update(gpu_classes=["h100-sxm-80"], valid_until=stage.today + timedelta(days=5))
    assert refused(stage).field == "lines.0.window_until"


def test_an_award_that_waits_for_an_answer_counts_against_the_ceiling(stage: Stage) -> None:
    Agreement.objects.update(ceiling_gpu_seconds=500 * HOUR)
    stage.awarded()
    assert refused(stage).facts["used"] == "400.00"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"gpus": 0}, "gpus"),
        ({"gpus": -3}, "gpus"),
        ({"hours": 0}, "hours"),
        ({"hours": 99_999}, "hours"),
        ({"smallest_gpus": 5}, "smallest_gpus"),
        ({"gpu_class": "b300"}, "gpu_class"),
    ],
)
def test_a_line_that_contradicts_itself_is_refused_on_its_field(stage: Stage, changes: Any, field: str) -> None:
    with pytest.raises(RuleBroken) as caught:
        stage.draft(stage.line(**changes))
    assert caught.value.field == f"lines.0.{field}"


def test_past_days_and_a_window_backwards_are_refused(stage: Stage) -> None:
    yesterday = stage.today - timedelta(days=1)
    with pytest.raises(RuleBroken) as caught:
        stage.draft(stage.line(window_from=yesterday))
    assert caught.value.code == "past_day"
    with pytest.raises(RuleBroken) as caught:
        stage.draft(stage.line(window_from=stage.today + timedelta(days=3), window_until=stage.today))
    assert caught.value.code == "window_order"


def test_another_organisations_agreement_is_no_way_round(stage: Stage) -> None:
    other = AgreementFactory()
    with pytest.raises(Forbidden):
        drafting.save_draft(
            actor=stage.cast.owner, call=stage.call, agreement=other, content=stage.content(), proposal=stage.draft()
        )


def test_a_suspended_agreement_and_a_closed_call_take_nothing(stage: Stage) -> None:
    draft = stage.draft()
    stage.call.closes_at = stage.call.published_at
    stage.call.save()
    with pytest.raises(RuleBroken) as caught:
        drafting.submit(actor=stage.cast.owner, proposal=draft)
    assert caught.value.code == "call_closed"
    stage.call.closes_at = None
    stage.call.save()
    Agreement.objects.update(state="suspended")
    with pytest.raises(RuleBroken) as caught:
        drafting.submit(actor=stage.cast.owner, proposal=draft)
    assert caught.value.code == "agreement_not_active"


def test_what_is_submitted_can_neither_be_changed_nor_submitted_again(stage: Stage) -> None:
    proposal = stage.submitted()
    with pytest.raises(WrongState):
        drafting.save_draft(
            actor=stage.cast.owner,
            call=stage.call,
            agreement=stage.cast.agreement,
            content=stage.content(),
            proposal=proposal,
        )
    with pytest.raises(InvalidTransition):
        drafting.submit(actor=stage.cast.owner, proposal=proposal)
    assert drafting.withdraw(actor=stage.cast.manager, proposal=proposal).state == "withdrawn"
    with pytest.raises(InvalidTransition):
        drafting.withdraw(actor=stage.cast.owner, proposal=proposal)
