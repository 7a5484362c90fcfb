"""The rule of two people: a large award, or one past a pool's bound, is not one officer's alone."""

from collections.abc import Iterable
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from common.errors import RuleBroken
from common.quantities import seconds_to_hours
from proposals.models import Appeal, Call, Proposal


def needs_second(call: Call, gpu_seconds: int, override_reason: str = "") -> bool:
    """Whether an award of so many device-seconds takes a second person."""
    return bool(override_reason) or is_large(call, gpu_seconds)


def is_large(call: Call, gpu_seconds: int) -> bool:
    """Whether the call's own threshold is reached."""
    return call.two_person_gpu_seconds is not None and gpu_seconds >= call.two_person_gpu_seconds


def check_second(call: Call, gpu_seconds: int, override_reason: str, *, approved: bool) -> None:
    """RuleBroken (`second_person`) where a second person is needed and none has approved."""
    if approved or not needs_second(call, gpu_seconds, override_reason):
        return
    if override_reason:
        message = _("Promising more of a pool than its bound allows takes a second person.")
    else:
        threshold = call.two_person_gpu_seconds or 0
        message = _("Awards of %(threshold)s GPU-hours or more take a second person under this call.") % {
            "threshold": number_format(seconds_to_hours(threshold), 2, force_grouping=True)
        }
    raise RuleBroken(
        message,
        code="second_person",
        remedy=_("Another officer approves the prepared award; then it can be released."),
        facts={
            "rule": "two_people",
            "threshold_gpu_seconds": call.two_person_gpu_seconds,
            "asked_gpu_seconds": gpu_seconds,
        },
    )


def check_other(actor: Any, earlier: Iterable[Any]) -> None:
    """RuleBroken (`second_person`) where the actor is one of those whom they would approve."""
    if getattr(actor, "pk", None) in {person.pk for person in earlier if person is not None}:
        raise RuleBroken(
            _("This needs two people: you are the first of them."),
            code="second_person",
            remedy=_("Ask another officer."),
        )


def check_answers(actor: Any, made: Appeal) -> None:
    """RuleBroken (`took_part`) where the actor had a part in the refusal that the appeal is against."""
    if getattr(actor, "pk", None) in made.against.took_part:
        raise RuleBroken(
            _("You had a part in the decision that this appeal is against."),
            code="took_part",
            remedy=_("An officer who neither prepared nor approved nor released it answers the appeal."),
            facts={"rule": "appeal_answered_by_others"},
        )


def check_refusers(proposal: Proposal, people: Iterable[Any]) -> None:
    """After an upheld appeal nobody refuses again who refused before: RuleBroken (`took_part`) names who. One query."""
    made = Appeal.objects.filter(proposal=proposal, upheld=True).select_related("against").first()
    before = made.against.took_part if made else frozenset()
    for one in people:
        if getattr(one, "pk", None) in before:
            raise RuleBroken(
                _("%(who)s had a part in the first refusal, and the appeal against it was upheld.") % {"who": one},
                code="took_part",
                remedy=_("Another officer decides whether it is refused again; awarding it is anybody's."),
                facts={"rule": "upheld_appeal_refused_by_others"},
            )
