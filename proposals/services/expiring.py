"""The clock over awards: partners are reminded, and what nobody answers expires and flows back."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import OuterRef, Subquery

from common.actors import SystemActor
from common.quantities import seconds_to_hours
from notifications.services import notify
from partners.selectors import officers
from proposals.models import Decision, LetterKind, Proposal
from proposals.services import letters, promising
from proposals.services.deciding import lock, move, tell_partner, written
from proposals.services.drafting import told

CLOCK = SystemActor("clock")


def keep_answers(now: datetime) -> tuple[int, int]:
    """Expire the awards whose last moment has passed and remind of those near it, a transaction each; how many of both.

    A repeat changes nothing: each reminder is told once, an expired award is not awarded any more.
    """
    expired = sum(_expire(pk, now) for pk in _waiting().filter(answer_by__lte=now).values_list("pk", flat=True))
    soon = now + timedelta(days=max(settings.AWARD_REMINDER_DAYS))
    near = _waiting().filter(answer_by__gt=now, answer_by__lte=soon)
    return expired, sum(_remind(pk, now) for pk in near.values_list("pk", flat=True))


def _waiting() -> Any:
    """Awarded proposals with the last moment of their award."""
    award = Decision.objects.filter(proposal=OuterRef("pk"), kind=Decision.Kind.AWARD).order_by("-id")
    return Proposal.objects.filter(state="awarded").annotate(answer_by=Subquery(award.values("answer_by")[:1]))


@transaction.atomic
def _expire(pk: int, now: datetime) -> int:
    proposal = lock(Proposal(pk=pk))
    award = proposal.decisions.filter(kind=Decision.Kind.AWARD).order_by("id").last()
    if proposal.state != "awarded" or award is None or award.answer_by is None or award.answer_by > now:
        return 0
    lines = list(award.lines.select_related("pool"))
    freed = [
        {"pool": line.pool.name, "gpus": line.gpus, "gpu_seconds": line.gpu_seconds, "guaranteed": line.guaranteed_gpus}
        for line in lines
    ]
    proposal = move(CLOCK, proposal, "expire", {"answer_by": award.answer_by, "freed": freed})
    promising.let_go(actor=CLOCK, proposal=proposal, reason="the award was not answered")
    decision = written(CLOCK, proposal, Decision.Kind.EXPIRE, "")
    letter = letters.send(decision=decision, kind=LetterKind.EXPIRE)
    hours = seconds_to_hours(sum(line.gpu_seconds for line in lines))
    said = {"answer_by": award.answer_by, "hours": hours, "gpus": sum(line.gpus for line in lines)}
    tell_partner(proposal, "proposal_expired", url=letter.get_absolute_url(), **said)
    notify(
        recipients=officers(),
        event="proposal_came_free",
        context=told(proposal, **said),
        url=proposal.get_absolute_url(),
    )
    return 1


@transaction.atomic
def _remind(pk: int, now: datetime) -> int:
    proposal = lock(Proposal(pk=pk))
    award = proposal.decisions.filter(kind=Decision.Kind.AWARD).order_by("id").last()
    if proposal.state != "awarded" or award is None or award.answer_by is None or award.answer_by <= now:
        return 0
    left = award.answer_by - now
    due = min((days for days in settings.AWARD_REMINDER_DAYS if left <= timedelta(days=days)), default=None)
    if due is None or (award.reminded_days is not None and award.reminded_days <= due):
        return 0
    if due >= proposal.call.answer_days:
        return 0  # they have only just been told
    award.reminded_days = due
    award.save(update_fields=["reminded_days"])
    tell_partner(proposal, "proposal_answer_due", answer_by=award.answer_by)
    return 1
