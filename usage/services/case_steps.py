"""What every step of a case shares: the locked rows, the move that is written down, who is told."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.models import User
from allocations.models import Lease
from allocations.selectors.windows import back_of_one, standing
from allocations.services.steps import lock_lease
from allocations.services.telling import local
from audit import services as audit
from common.actors import SystemActor
from common.errors import RuleBroken
from common.quantities import seconds_to_hours
from notifications.services import notify
from partners.rules import MANAGING
from partners.selectors import officers, operators
from usage.lifecycle import IDLE_CASE
from usage.models import CaseStep, IdleCase

SAID = 1000
"""Characters that somebody may say in one step."""


def lock_case(pk: int) -> IdleCase:
    """The case, locked after its reservation, with what its verbs need of its surroundings."""
    lease_id = IdleCase.objects.values_list("lease_id", flat=True).get(pk=pk)
    lease = lock_lease(lease_id)
    rows = IdleCase.objects.select_for_update(of=("self",), no_key=True).select_related("rule", "reshape")
    case = rows.get(pk=pk)
    case.lease = lease
    return case


def move(
    case: IdleCase,
    event: str,
    *,
    actor: Any,
    at: datetime,
    step: str,
    text: str = "",
    fields: Iterable[str] = (),
    **changes: Any,
) -> None:
    """The next state by the table, one line of the course, one audit row."""
    before, case.state = case.state, IDLE_CASE.next(case.state, event)
    case.save(update_fields=["state", *fields])
    note(case, step, actor=actor, at=at, text=text)
    said = {"state": [before, case.state], "lease": case.lease.public_id, "text": text, **changes}
    audit.record(actor=actor, verb=f"idle_case.{event}", target=case, changes=said)


def fall_due(case: IdleCase, at: datetime) -> None:
    """Set when the devices are taken, and the device-seconds that come back then: none where the reservation is over
    by that moment. The caller saves `due_at` and `back_seconds`.
    """
    lease, percent = case.lease, case.rule.returned_percent if case.rule else 100
    case.due_at = at
    case.back_seconds = 0 if at >= lease.ends_at else case.devices.count() * back_of_one(lease, at) * percent // 100


def note(case: IdleCase, step: str, *, actor: Any, at: datetime, text: str = "") -> CaseStep:
    """One line of the course."""
    by = None if isinstance(actor, SystemActor) else actor
    return CaseStep.objects.create(case=case, kind=step, at=at, by=by, text=text[:SAID])


def needed(text: str, field: str) -> str:
    """What somebody says, without the blanks around it; RuleBroken where it is nothing."""
    if not text.strip():
        raise RuleBroken(_("A reason is needed."), code="reason_missing", remedy=_("Write one sentence."), field=field)
    return text.strip()[:SAID]


def standing_ids(lease: Lease) -> list[int]:
    """The devices that the reservation has to work with now."""
    return [row.device_id for row in standing(lease)]


def tell_members(case: IdleCase, event: str, **context: Any) -> None:
    """Whoever booked it, the project's team, and the organisation's managers."""
    project = case.lease.allocation.project
    managers = Q(memberships__organisation=project.organisation_id, memberships__role__in=MANAGING)
    team = Q(project_memberships__project_id=project.pk, memberships__organisation=project.organisation_id)
    people = User.objects.filter(managers | team | Q(pk=case.lease.booked_by_id)).distinct()
    _tell(case, event, people, context)


def tell_agency(case: IdleCase, event: str, **context: Any) -> None:
    """The officers; of a breach of security the operators, too."""
    people = list(officers())
    if case.kind == IdleCase.Kind.SECURITY:
        people += list(operators())
    _tell(case, event, people, context)


def _tell(case: IdleCase, event: str, people: Iterable[User], context: dict[str, Any]) -> None:
    lease = case.lease
    values = {
        "case": case.public_id,
        "kind": case.kind,
        "lease": lease.public_id,
        "project": lease.allocation.project.title,
        "pool": lease.allocation.pool.name,
        "organisation": lease.allocation.project.organisation.name,
        "count": case.devices.filter(used_again_at=None).count(),
        "whole": case.whole,
        "idle_hours": seconds_to_hours(case.idle_seconds),
        "back_hours": seconds_to_hours(case.back_seconds),
        "returned_hours": seconds_to_hours(case.returned_seconds),
        "due_at": local(case.due_at) if case.due_at else "",
        "follows": case.rule.follows if case.rule else "take",
        "reason": case.reason,
        "basis": case.basis,
        "text": "",
    }
    notify(recipients=people, event=event, context=values | context, url=case.get_absolute_url())
