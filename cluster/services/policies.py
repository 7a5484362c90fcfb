"""XID policy: the built-in rules, a site's own over them, and what an event makes of a device's health."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.rules import may_run_nodes
from audit.services import record
from cluster.models import Device, DeviceEvent, XidPolicy
from cluster.xids import DEFAULTS, UNKNOWN, XidRule
from common.errors import RuleBroken
from common.permissions import require

LEVELS = [choice.value for choice in Device.Health]  # from well to broken
REPEATED = "drain"
HIGHEST = 9_999  # far above any that a driver reports
FIELDS = ("level", "tell_partner", "repeat_count", "repeat_days", "note")


def xid_in(text: str) -> int | None:
    """The XID that an address or a query names; None where it names none."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(HIGHEST)) and int(text)):
        return None
    return int(text)


def rules() -> list[XidRule]:
    """Every rule that is in force, by number."""
    found = {**DEFAULTS, **{row.xid: _of(row) for row in XidPolicy.objects.all()}}
    return [found[xid] for xid in sorted(found)]


def rule_for(xid: int) -> XidRule:
    """The rule for one XID; an unknown number warns."""
    row = XidPolicy.objects.filter(xid=xid).first()
    return _of(row) if row else DEFAULTS.get(xid, UNKNOWN)


def _of(row: XidPolicy) -> XidRule:
    meaning = row.note or DEFAULTS.get(row.xid, UNKNOWN).meaning
    return XidRule(row.xid, meaning, row.level, row.tell_partner, row.repeat_count, row.repeat_days)


@transaction.atomic
def change(
    *,
    actor: Any,
    xid: int,
    level: str,
    tell_partner: bool,
    repeat_count: int | None,
    repeat_days: int | None,
    note: str = "",
    reason: str,
) -> XidPolicy:
    """A site's own rule for an XID, over an earlier one or the built-in one. Operators only; for events from now on.

    `note` is what the XID means here, in place of the built-in words; `reason` goes into the audit log.
    """
    require(actor, may_run_nodes)
    if not 0 < xid <= HIGHEST:
        raise RuleBroken(
            _("There is no XID %(number)s.") % {"number": xid},
            code="no_such_xid",
            remedy=_("Choose a number from 1 to %(highest)s.") % {"highest": HIGHEST},
        )
    if (repeat_count is None) != (repeat_days is None):
        raise RuleBroken(
            _("Repeats need both numbers: how many, and within how many days."),
            code="repeat_halves",
            remedy=_("Fill in both, or leave both empty."),
            field="repeat_days" if repeat_days is None else "repeat_count",
        )
    before = rule_for(xid)
    row, is_new = XidPolicy.objects.select_for_update(no_key=True).get_or_create(xid=xid, defaults={"level": level})
    noted = "" if is_new else row.note
    for name, value in zip(FIELDS, (level, tell_partner, repeat_count, repeat_days, note), strict=True):
        setattr(row, name, value)
    row.save()
    changes = {name: [getattr(before, name, noted), getattr(row, name)] for name in FIELDS}
    record(actor=actor, verb="xid_policy.change", target=row, changes={"xid": xid, **changes, "reason": reason})
    return row


@transaction.atomic
def forget(*, actor: Any, policy: XidPolicy, reason: str) -> None:
    """Back to the built-in rule. Operators only."""
    require(actor, may_run_nodes)
    changes = {"xid": policy.xid, "level": policy.level, "reason": reason}
    record(actor=actor, verb="xid_policy.forget", target=policy, changes=changes)
    policy.delete()


def level_of(device: Device, xid: int, at: datetime, rule: XidRule) -> str:
    """The health that one more of this XID gives a device: the rule's, or drain where it has come too often."""
    if rule.repeat_count is None or rule.repeat_days is None:
        return rule.level
    since = at - timedelta(days=rule.repeat_days)
    before = DeviceEvent.objects.filter(device=device, kind="xid", detail__xid=xid, at__gt=since, at__lte=at).count()
    repeated = REPEATED if before + 1 >= rule.repeat_count else rule.level
    return max(rule.level, repeated, key=LEVELS.index)
