"""A case is opened: by the rule that found GPUs idle, with its notice in the same transaction."""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from allocations.models import Lease
from allocations.services.steps import lock_lease
from audit import services as audit
from common.actors import SystemActor
from usage.lifecycle import CASE_OPEN
from usage.models import CaseDevice, CaseStep, IdleCase, IdleRule
from usage.selectors.finding import Finding, find_idle
from usage.services.case_steps import fall_due, move, note, standing_ids, tell_members

log = logging.getLogger(__name__)

IDLE_WATCH = SystemActor("idle-watch")


def detect(now: datetime) -> int:
    """Open a case for every reservation that stands idle by a rule, and tell its members; the number opened."""
    opened = 0
    for finding in find_idle(now):
        try:
            opened += _open(finding, now)
        except Exception:  # one ill reservation must not hide the others
            log.exception("no case could be opened for the lease %s", finding.lease_id)
    return opened


@transaction.atomic
def _open(finding: Finding, now: datetime) -> int:
    """A reservation that somebody holds is passed by: the next look finds it again."""
    free = Lease.objects.select_for_update(skip_locked=True, no_key=True).filter(pk=finding.lease_id, state="active")
    if not free.exists():
        return 0
    lease, rule = lock_lease(finding.lease_id), IdleRule.objects.get(pk=finding.rule_id)
    there = set(standing_ids(lease))
    devices = [row for row in finding.devices if row.device_id in there]
    known = IdleCase.objects.filter(lease=lease, state__in=CASE_OPEN)
    if not devices or rule.state != "on" or known.exists():
        return 0
    whole = len(devices) == len(there)
    case = IdleCase.objects.create(
        lease=lease,
        rule=rule,
        whole=whole,
        window_start=finding.since,
        window_end=finding.until,
        idle_seconds=int(sum(row.idle_seconds for row in devices) * lease.share),
        measured_seconds=int(sum(row.measured_seconds for row in devices) * lease.share),
        detected_at=now,
    )
    CaseDevice.objects.bulk_create(
        CaseDevice(
            case=case, device_id=row.device_id, idle_seconds=row.idle_seconds, measured_seconds=row.measured_seconds
        )
        for row in devices
    )
    note(case, CaseStep.Kind.DETECTED, actor=IDLE_WATCH, at=now)
    changes: dict[str, Any] = {"lease": lease.public_id, "rule": rule.public_id, "devices": len(devices)}
    audit.record(actor=IDLE_WATCH, verb="idle_case.detect", target=case, changes=changes)
    give_notice(case, now, timedelta(seconds=rule.grace_seconds), actor=IDLE_WATCH)
    return 1


def give_notice(case: IdleCase, now: datetime, grace: timedelta, *, actor: Any) -> None:
    """The members are told, until when they have and what comes back then. The caller has locked the case."""
    case.noticed_at = now
    fall_due(case, now + grace)
    fields = ("noticed_at", "due_at", "back_seconds")
    move(case, "notice", actor=actor, at=now, step=CaseStep.Kind.NOTICED, fields=fields, due_at=case.due_at)
    tell_members(case, "idle_notice" if case.kind == IdleCase.Kind.IDLE else "breach_notice")
