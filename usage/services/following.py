"""Every open case is looked at: used again, over, due, carried out, finished. May be called any number of times."""

import logging
from collections import defaultdict
from datetime import datetime

from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext_noop

from allocations.lifecycle import LEASE_OVER, RESHAPING
from common.advisory import held
from usage.lifecycle import CASE_OPEN
from usage.models import CaseDevice, CaseStep, IdleCase, IdleRule
from usage.selectors.cases import used_since_notice
from usage.services.acting import try_to_act
from usage.services.case_steps import lock_case, move, note, standing_ids, tell_agency, tell_members
from usage.services.idle_cases import IDLE_WATCH, detect

log = logging.getLogger(__name__)

WATCH_LOCK = 0x6269_7467_0030  # pg advisory lock of the look at idle GPUs
USED_AGAIN = gettext_noop("The GPUs are used again.")
RULE_OFF = gettext_noop("The rule was switched off.")
LEASE_OVER_NOW = gettext_noop("The reservation is over.")
NOT_THERE = gettext_noop("The GPUs are no longer with the reservation.")


def watch(now: datetime) -> int:
    """One look at everything: open cases first, then what is new. 0 at once while another look is under way."""
    with held(WATCH_LOCK) as mine:
        return follow(now) + detect(now) if mine else 0


def follow(now: datetime) -> int:
    """The next step of every open case; the number that moved."""
    cases = list(IdleCase.objects.filter(state__in=CASE_OPEN).order_by("pk").select_related("rule", "lease"))
    left = CaseDevice.objects.filter(case__in=cases, used_again_at=None, case__kind=IdleCase.Kind.IDLE)
    watched = list(left.select_related("case__rule"))
    use = used_since_notice(watched, now)
    again: dict[int, list[CaseDevice]] = defaultdict(list)
    for row in watched:
        again[row.case_id].append(row)
    moved = 0
    for case in cases:
        used = [row for row in again[case.pk] if case.rule and use.get(row.pk, 0) >= case.rule.used_again_seconds]
        if not _may_move(case, used, now):
            continue
        try:
            moved += _step(case.pk, [row.pk for row in used], now)
        except Exception:  # one ill case must not stop the others
            log.exception("the case %s could not be followed", case.public_id)
    return moved


def _may_move(case: IdleCase, used: list[CaseDevice], now: datetime) -> bool:
    """Whether anything may have to be done: asked without a lock, so that a quiet house costs three queries."""
    if case.state == "executing" or used or case.lease.state != "active":
        return True
    if case.rule is not None and case.rule.state == "off":
        return True
    return case.due_at is not None and case.due_at <= now


@transaction.atomic
def _step(pk: int, used: list[int], now: datetime) -> int:
    case = lock_case(pk)
    if case.state not in CASE_OPEN:
        return 0
    if case.state == "executing":
        return _finish(case, now)
    if case.lease.state != "active":
        return _resolve(case, LEASE_OVER_NOW, now, tell=False)
    if case.rule is not None and case.rule.state == "off":
        return _resolve(case, RULE_OFF, now)
    if used:
        _used_again(case, used, now)
    left = set(case.devices.filter(used_again_at=None).values_list("device_id", flat=True))
    if case.kind == IdleCase.Kind.IDLE and not left & set(standing_ids(case.lease)):
        return _resolve(case, NOT_THERE if left else USED_AGAIN, now)
    if case.due_at is None or case.due_at > now or not _something_follows(case):
        return len(used)
    if case.state in ("noticed", "appealed"):
        _come_due(case, now)
    if case.rule is not None and case.rule.follows == IdleRule.Follows.PROPOSE:
        return 1
    return int(try_to_act(case, actor=IDLE_WATCH, now=now)) + len(used)


def _something_follows(case: IdleCase) -> bool:
    return case.rule is None or case.rule.follows != IdleRule.Follows.NOTICE


def _come_due(case: IdleCase, now: datetime) -> None:
    move(case, "come_due", actor=IDLE_WATCH, at=now, step=CaseStep.Kind.DUE)
    if case.rule is not None and case.rule.follows == IdleRule.Follows.PROPOSE:
        tell_agency(case, "idle_due")


def _used_again(case: IdleCase, used: list[int], now: datetime) -> None:
    rows = case.devices.filter(pk__in=used, used_again_at=None)
    names = ", ".join(str(row.device) for row in rows.select_related("device__node"))
    if rows.update(used_again_at=now):
        case.whole = False
        case.save(update_fields=["whole"])
        note(case, CaseStep.Kind.USED_AGAIN, actor=IDLE_WATCH, at=now, text=names)


def _resolve(case: IdleCase, text: str, now: datetime, *, tell: bool = True) -> int:
    case.ended_at = now
    move(case, "resolve", actor=IDLE_WATCH, at=now, step=CaseStep.Kind.RESOLVED, text=text, fields=("ended_at",))
    if tell:
        tell_members(case, "idle_resolved", text=text)
    return 1


def _finish(case: IdleCase, now: datetime) -> int:
    """Taken back: when the node has let go and the devices are clean, they are the pool's, and its wait-list's."""
    if case.reshape is not None:
        return _finish_part(case, now)
    if case.lease.state not in LEASE_OVER:
        return 0
    moved = case.lease.ledger.filter(kind__in=("return", "settle", "credit"), at__gte=case.acted_at)
    back = moved.aggregate(total=Sum("device_seconds", default=0))["total"]
    return _executed(case, max(0, back), now)


def _finish_part(case: IdleCase, now: datetime) -> int:
    reshape = case.reshape
    assert reshape is not None
    reshape.refresh_from_db()
    if reshape.state in RESHAPING:
        return 0
    if reshape.state == "done":
        return _executed(case, reshape.returned_seconds, now)
    return _resolve(case, LEASE_OVER_NOW, now, tell=False)


def _executed(case: IdleCase, returned: int, now: datetime) -> int:
    case.ended_at, case.returned_seconds = now, returned
    fields = ("ended_at", "returned_seconds")
    move(
        case,
        "finish",
        actor=IDLE_WATCH,
        at=now,
        step=CaseStep.Kind.EXECUTED,
        fields=fields,
        returned_device_seconds=returned,
    )
    tell_members(case, "idle_executed")
    return 1
