"""A case is carried out: GPUs go back to the pool through the verbs that everybody else's go through."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from allocations.models import Placement
from allocations.selectors.windows import standing
from allocations.services import ending, reshaping
from common.errors import DomainError, RuleBroken, WrongState
from common.permissions import require
from partners.services.strangers import check_stranger
from telemetry.services import roll_up
from usage.lifecycle import IDLE_CASE
from usage.models import CaseDevice, CaseStep, IdleCase, IdleRule
from usage.rules import may_answer_appeals
from usage.selectors.cases import is_measured, used_since_notice
from usage.selectors.parts import fitting_part
from usage.services.case_steps import lock_case, move, needed, note

STOOD_IDLE = gettext_noop("The GPUs stood idle; notice was given, and the time to answer is over.")
NOT_MEASURED = gettext_noop("Nothing is measured at the moment, and a gap may hide use.")
SHAPE = gettext_noop("Without these GPUs the others would no longer lie as the reservation asks.")
OTHER_CHANGE = gettext_noop("Another change of the reservation is under way.")
USED_AGAIN = gettext_noop("Not every GPU of the reservation is idle any more.")
OBSTACLES = {
    "not_measured": NOT_MEASURED,
    "shape": SHAPE,
    "reshape_under_way": OTHER_CHANGE,
    "used_again": USED_AGAIN,
}
"""By code, what stands in the course, to be read in any language."""


@transaction.atomic
def carry_out(*, actor: Any, case: IdleCase, reason: str = "") -> IdleCase:
    """An officer takes back what a rule proposes, once its time is over. Refused as `try_to_act` puts off."""
    case = lock_case(case.pk)
    require(actor, may_answer_appeals)
    check_stranger(actor, case.lease.allocation.project.organisation)
    IDLE_CASE.next(case.state, "execute")
    said = needed(reason, "reason") if reason.strip() else ""
    now = timezone.now()
    rows = _targets(case, now)
    _act(case, rows, actor=actor, now=now, text=said)
    return case


def try_to_act(case: IdleCase, *, actor: Any, now: datetime) -> bool:
    """What is due is done, or the reason why not yet is written down, once. The caller has locked the case."""
    try:
        with transaction.atomic():
            _act(case, _targets(case, now), actor=actor, now=now)
    except DomainError as error:
        case.refresh_from_db(fields=["state", "acted_at", "reshape", "obstacle"])
        said = OBSTACLES.get(error.code, str(error.message))
        if case.obstacle != said:
            case.obstacle = said[:300]
            case.save(update_fields=["obstacle"])
            note(case, CaseStep.Kind.WAITS, actor=actor, at=now, text=said)
        return False
    return True


def _targets(case: IdleCase, now: datetime) -> list[Placement]:
    """Of the devices that the case is about, those that the reservation has and that are idle to this moment.

    RuleBroken where nothing is measured now, where all are used again, or where no such part can be taken.
    """
    rows = standing(case.lease)
    if case.kind != IdleCase.Kind.IDLE:
        return rows
    left = list(case.devices.filter(used_again_at=None).select_related("case__rule"))
    roll_up(now, device_ids=[row.device_id for row in left])
    if not is_measured(left, now):
        raise RuleBroken(
            _(NOT_MEASURED), code="not_measured", remedy=_("It is tried again when the GPUs are measured for an hour.")
        )
    idle = _still_idle(case, left, now)
    found = [row for row in rows if row.device_id in idle]
    if len(found) == len(rows):
        return found
    return _part(case, rows, found)


def _still_idle(case: IdleCase, left: list[CaseDevice], now: datetime) -> set[int]:
    use = used_since_notice(left, now)
    most = case.rule.used_again_seconds if case.rule else 0
    return {row.device_id for row in left if use.get(row.pk, 0) < most}


def _part(case: IdleCase, rows: list[Placement], idle: list[Placement]) -> list[Placement]:
    """As many of the idle ones as leave the reservation its shape: all, or whole nodes, or as many of each node."""
    rule = case.rule
    if not idle or (rule is not None and not rule.takes_part):
        raise RuleBroken(_(USED_AGAIN), code="used_again", remedy=_("The case ends by itself when they are used."))
    found = fitting_part(rows, {row.device_id for row in idle}, case.lease.layout)
    if not found:
        remedy = _("Stop the case, or take back the whole reservation by hand.")
        raise RuleBroken(_(SHAPE), code="shape", remedy=remedy)
    return found


def _act(case: IdleCase, rows: list[Placement], *, actor: Any, now: datetime, text: str = "") -> None:
    lease, percent = case.lease, case.rule.returned_percent if case.rule else 100
    if lease.reshapes.under_way().exists():
        raise WrongState(_(OTHER_CHANGE), code="reshape_under_way", remedy=_("It is tried again when that is over."))
    reason = f"{case.public_id}: {STOOD_IDLE}" if case.kind == IdleCase.Kind.IDLE else case.reason
    whole = case.kind != IdleCase.Kind.IDLE or len(rows) == len(standing(lease))
    if whole:
        ending.reclaim(actor=actor, lease=lease, reason=reason, returned_percent=percent)
    else:
        devices = [row.device for row in rows]
        case.reshape = reshaping.take_back(
            actor=actor, lease=lease, devices=devices, reason=reason, returned_percent=percent
        )
    case.acted_at, case.whole, case.obstacle = now, whole, ""
    move(
        case,
        "execute",
        actor=actor,
        at=now,
        step=CaseStep.Kind.EXECUTING,
        text=text,
        fields=("acted_at", "whole", "reshape", "obstacle"),
        devices=[row.device.public_id for row in rows],
    )


def proposes(case: IdleCase) -> bool:
    """Whether an officer's word is what the case waits for."""
    return case.state == "due" and case.rule is not None and case.rule.follows == IdleRule.Follows.PROPOSE
