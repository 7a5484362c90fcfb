"""A call that is published is told to those who may propose, once, in their language."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from notifications.models import Mail, Notification
from partners.models import Agreement
from partners.services import agreements
from proposals.models import Call
from proposals.selectors.eligibility import may_propose
from proposals.services.announcing import announce
from tests.concurrency.test_operators_race import RACE, race
from tests.factories import AgreementFactory, MembershipFactory
from tests.proposals.stage import Stage, make_stage
from tests.queries import queries_of

EVENT = "call_published"


def told() -> set[str]:
    """The addresses that have the notice."""
    return set(Notification.objects.filter(event=EVENT).values_list("recipient__email", flat=True))


def test_owners_and_managers_are_told_once_each_in_their_language(stage: Stage) -> None:
    User.objects.filter(pk=stage.cast.owner.pk).update(language="ko")
    User.objects.filter(pk=stage.cast.manager.pk).update(language="en")
    other = AgreementFactory()  # an organisation of the same owner: still one notice
    MembershipFactory(organisation=other.organisation, user=stage.cast.owner, role="owner")
    Notification.objects.all().delete()
    Mail.objects.all().delete()
    assert announce(now=timezone.now()) == 2 and announce(now=timezone.now()) == 0
    assert told() == {stage.cast.owner.email, stage.cast.manager.email}
    korean, english = (
        Notification.objects.get(event=EVENT, recipient=user) for user in (stage.cast.owner, stage.cast.manager)
    )
    assert "상시 지원" in korean.subject and "Rolling support" in english.subject
    assert "at any time" in english.body and english.url == stage.call.get_absolute_url()
    assert Mail.objects.count() == 2


@pytest.mark.parametrize(
    ("terms", "facts"),
    [
        ({"sizes": ["small"]}, {"size": "large"}),
        ({"regions": ["gwangju"]}, {}),
        ({"most_years": 7}, {"founded_on": date(2001, 1, 1)}),
    ],
)
def test_whoever_does_not_meet_the_conditions_hears_nothing(
    stage: Stage, terms: dict[str, Any], facts: dict[str, Any]
) -> None:
    Call.objects.update(**terms)
    type(stage.cast.organisation).objects.filter(pk=stage.cast.organisation.pk).update(**facts)
    assert announce(now=timezone.now()) == 0 and not told()


def test_an_agreement_in_force_for_a_class_of_the_call_is_needed(stage: Stage) -> None:
    mine = stage.cast.organisation.pk
    assert mine in may_propose(stage.call)
    Agreement.objects.filter(pk=stage.cast.agreement.pk).update(gpu_classes=["a100-sxm-80"])
    assert mine not in may_propose(stage.call)
    Agreement.objects.filter(pk=stage.cast.agreement.pk).update(gpu_classes=[stage.pool.gpu_class.code])
    assert mine in may_propose(stage.call)
    agreements.suspend(actor=stage.cast.officer, agreement=stage.cast.agreement, reason="Audit.")
    assert mine not in may_propose(stage.call)


def test_a_call_that_is_announced_is_told_of_at_its_moment(stage: Stage) -> None:
    at = timezone.now() + timedelta(days=2)
    Call.objects.update(published_at=at)
    assert announce(now=timezone.now()) == 0 and not told()
    Call.objects.update(published_at=timezone.now(), cancelled_at=None)
    assert announce(now=timezone.now()) > 0
    Call.objects.update(told_at=None, closes_at=timezone.now())  # over before the clock came to it
    assert announce(now=timezone.now()) == 0


def test_it_costs_the_same_for_one_organisation_and_for_twenty(stage: Stage) -> None:
    def again() -> int:
        Call.objects.update(told_at=None)
        return announce(now=timezone.now())

    before = len(queries_of(again))
    for _each in range(20):
        MembershipFactory(organisation=AgreementFactory().organisation, role="manager")
    assert len(queries_of(again)) == before and again() == 22


@RACE
def test_two_clocks_tell_once() -> None:
    make_stage()
    assert sum(race(*[lambda: announce(now=timezone.now())] * 4)) == Notification.objects.filter(event=EVENT).count()
    before = Notification.objects.filter(event=EVENT).count()
    assert before == 2
    Call.objects.update(told_at=None)  # the control: the mark is what holds them
    announce(now=timezone.now())
    assert Notification.objects.filter(event=EVENT).count() == 2 * before
