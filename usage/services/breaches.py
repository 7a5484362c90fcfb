"""The faster course: a reservation that endangers others, or breaks what was agreed. Its reasons are its own."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from allocations.models import Lease
from allocations.services.steps import lock_lease
from audit import services as audit
from common.errors import RuleBroken, WrongState
from common.permissions import require
from usage.lifecycle import CASE_OPEN
from usage.models import CaseStep, IdleCase
from usage.rules import may_open_breaches
from usage.services.acting import try_to_act
from usage.services.case_steps import move, needed, note, tell_agency
from usage.services.idle_cases import give_notice

LEAST_GRACE = {IdleCase.Kind.SECURITY: timedelta(0), IdleCase.Kind.AGREEMENT: timedelta(hours=1)}
"""A danger to others is ended at once, with the notice; a breach of the agreement leaves time to save the work."""
MOST_GRACE = timedelta(days=14)


@transaction.atomic
def open_breach(*, actor: Any, lease: Lease, kind: str, reason: str, basis: str, grace_seconds: int = 0) -> IdleCase:
    """Tell the members what was found and on what ground; after the grace the reservation is taken back whole.

    An idle case about it gives way. RuleBroken without reason or ground, or with too short a grace; WrongState of a
    reservation that does not run, or where a breach is dealt with already. Officers and operators.
    """
    lease = lock_lease(lease.pk)
    require(actor, may_open_breaches)
    said, ground, grace = needed(reason, "reason")[:300], needed(basis, "basis")[:200], timedelta(seconds=grace_seconds)
    _check(lease, kind, grace)
    now = timezone.now()
    _give_way(lease, actor, now)
    case = IdleCase.objects.create(
        lease=lease, kind=kind, reason=said, basis=ground, opened_by=actor, detected_at=now, whole=True
    )
    note(case, CaseStep.Kind.OPENED, actor=actor, at=now, text=said)
    changes = {"lease": lease.public_id, "kind": kind, "reason": said, "basis": ground}
    audit.record(actor=actor, verb="idle_case.open_breach", target=case, changes=changes)
    give_notice(case, now, grace, actor=actor)
    tell_agency(case, "breach_opened")
    if not grace:
        move(case, "come_due", actor=actor, at=now, step=CaseStep.Kind.DUE)
        try_to_act(case, actor=actor, now=now)
    return case


def _check(lease: Lease, kind: str, grace: timedelta) -> None:
    if kind not in LEAST_GRACE:
        raise RuleBroken(
            _("There is no such kind of breach."), code="kind", remedy=_("Choose one of the list."), field="kind"
        )
    least = LEAST_GRACE[IdleCase.Kind(kind)]
    if not least <= grace <= MOST_GRACE:
        raise RuleBroken(
            _("From %(least)s to %(most)s hours.")
            % {"least": int(least.total_seconds() // 3600), "most": int(MOST_GRACE.total_seconds() // 3600)},
            code="grace",
            remedy=_("Choose a time in between."),
            field="grace_seconds",
        )
    if lease.state != "active":
        raise WrongState(
            _("This reservation does not run."),
            code="not_running",
            remedy=_("One that is booked ahead is taken back by an ordinary reclaim."),
            facts={"state": lease.state},
        )


def _give_way(lease: Lease, actor: Any, now: datetime) -> None:
    rows = IdleCase.objects.select_for_update(of=("self",), no_key=True)
    for case in rows.filter(lease=lease, state__in=CASE_OPEN):
        if case.kind != IdleCase.Kind.IDLE or case.state == "executing":
            raise WrongState(
                _("There is an open case about this reservation already: %(case)s.") % {"case": case.public_id},
                code="case_open",
                remedy=_("Go on with that one."),
                facts={"case": case.public_id},
            )
        case.lease, case.ended_at = lease, now
        move(case, "stop", actor=actor, at=now, step=CaseStep.Kind.STOPPED, fields=("ended_at",))
