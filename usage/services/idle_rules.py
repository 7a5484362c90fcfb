"""Officers' verbs: a rule about idle GPUs is drafted, tried out against what was measured, switched on, replaced."""

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import services as audit
from common.errors import RuleBroken, WrongState
from common.permissions import require
from partners.services.strangers import check_stranger
from usage.lifecycle import IDLE_RULE
from usage.models import IdleRule
from usage.models.idle_rules import SHORTEST_GRACE, VALUES
from usage.rules import may_set_idle_rules
from usage.selectors import tryouts

HOUR, DAY = 3600, 86_400
LIMITS: dict[str, tuple[int, int]] = {
    "window_seconds": (HOUR, 14 * DAY),
    "idle_percent": (50, 100),
    "measured_percent": (50, 100),
    "first_seconds": (0, 90 * DAY),
    "grace_seconds": (SHORTEST_GRACE, 30 * DAY),
    "answer_seconds": (HOUR, 30 * DAY),
    "used_again_seconds": (60, DAY),
    "returned_percent": (0, 100),
}
"""The least and the most that may be said."""


@transaction.atomic
def draft(*, actor: Any, pool: Any, agreement: Any, values: Mapping[str, Any], reason: str) -> IdleRule:
    """The next version of a subject's rule, as a draft: it does nothing. Neither pool nor agreement: the house's.

    RuleBroken for values out of bounds, and for an agreement of one's own organisation, here and in every verb below.
    Forbidden for all but officers.
    """
    require(actor, may_set_idle_rules)
    if pool is not None and agreement is not None:
        raise RuleBroken(
            _("A rule is a pool's or an agreement's, not both."),
            code="one_subject",
            remedy=_("Choose one of them, or neither for every pool."),
            field="agreement",
        )
    _check_subject(actor, agreement)
    _check(values)
    before = IdleRule.objects.filter(pool=pool, agreement=agreement).order_by("-version").first()
    rule = IdleRule(pool=pool, agreement=agreement, made_by=actor, reason=_needed(reason), **values)
    rule.version = before.version + 1 if before else 1
    try:
        with transaction.atomic():
            rule.save()
    except IntegrityError:
        raise _moved_on() from None
    audit.record(actor=actor, verb="idle_rule.draft", target=rule, changes=_said(rule))
    return rule


@transaction.atomic
def change_draft(*, actor: Any, rule: IdleRule, values: Mapping[str, Any], reason: str) -> IdleRule:
    """Other values for a draft; what was tried out before no longer counts. WrongState once it was switched on."""
    require(actor, may_set_idle_rules)
    rule = _lock(rule, actor)
    IDLE_RULE.next(rule.state, "switch_on")
    _check(values)
    before = rule.values
    for name, value in values.items():
        setattr(rule, name, value)
    rule.reason, rule.tried, rule.tried_at = _needed(reason), None, None
    rule.save()
    changes = {name: [before[name], value] for name, value in rule.values.items() if before[name] != value}
    audit.record(actor=actor, verb="idle_rule.change", target=rule, changes=changes | {"reason": rule.reason})
    return rule


@transaction.atomic
def try_out(*, actor: Any, rule: IdleRule, days: int = 30) -> IdleRule:
    """What the rule would have done in the last `days` days, by the evidence; kept with it. Nothing else happens."""
    require(actor, may_set_idle_rules)
    rule = _lock(rule, actor)
    if rule.state not in ("draft", "on"):
        raise WrongState(
            _("This version is over."), code="rule_over", remedy=_("Write a new version, and try that one out.")
        )
    if not 1 <= days <= tryouts.MOST_DAYS:
        raise RuleBroken(
            _("From 1 to %(most)s days.") % {"most": tryouts.MOST_DAYS},
            code="days",
            remedy=_("Choose fewer days."),
            field="days",
        )
    now = timezone.now()
    rule.tried, rule.tried_at = tryouts.try_out(rule, days, now).as_json(), now
    rule.save(update_fields=["tried", "tried_at"])
    found = {name: rule.tried[name] for name in ("days", "leases", "devices", "seconds", "left_out")}
    audit.record(actor=actor, verb="idle_rule.try_out", target=rule, changes=found)
    return rule


@transaction.atomic
def switch_on(*, actor: Any, rule: IdleRule, reason: str) -> IdleRule:
    """The draft holds from now on, in the place of the version that held before; open cases go on by theirs.

    RuleBroken where it was not tried out as it is now.
    """
    require(actor, may_set_idle_rules)
    rule = _lock(rule, actor)
    IDLE_RULE.next(rule.state, "switch_on")
    if rule.tried_at is None:
        raise RuleBroken(
            _("This rule was not tried out yet, or was changed since."),
            code="not_tried",
            remedy=_("Try it out against what was measured, and look at what it would have done."),
        )
    now = timezone.now()
    held = IdleRule.objects.select_for_update(of=("self",), no_key=True)
    for old in held.filter(pool=rule.pool_id, agreement=rule.agreement_id, state="on"):
        old.off_at, old.off_by = now, actor
        _move(old, "replace", actor=actor, fields=("off_at", "off_by"), by=rule.public_id)
    rule.on_at, rule.on_by, rule.on_reason = now, actor, _needed(reason)
    try:
        with transaction.atomic():
            fields = ("on_at", "on_by", "on_reason")
            _move(rule, "switch_on", actor=actor, fields=fields, **_said(rule) | {"reason": rule.on_reason})
    except IntegrityError:
        raise _moved_on() from None
    return rule


@transaction.atomic
def switch_off(*, actor: Any, rule: IdleRule, reason: str) -> IdleRule:
    """The rule holds no longer, and no case goes on by it; what a wider subject says holds instead."""
    require(actor, may_set_idle_rules)
    rule = _lock(rule, actor)
    rule.off_at, rule.off_by, rule.off_reason = timezone.now(), actor, _needed(reason)
    fields = ("off_at", "off_by", "off_reason")
    _move(rule, "switch_off", actor=actor, fields=fields, reason=rule.off_reason)
    return rule


@transaction.atomic
def discard(*, actor: Any, rule: IdleRule) -> IdleRule:
    """A draft that is not wanted; it stays readable."""
    require(actor, may_set_idle_rules)
    rule = _lock(rule, actor)
    _move(rule, "discard", actor=actor)
    return rule


def _lock(rule: IdleRule, actor: Any) -> IdleRule:
    rows = IdleRule.objects.select_for_update(of=("self",), no_key=True)
    found = rows.select_related("pool", "agreement__organisation").get(pk=rule.pk)
    _check_subject(actor, found.agreement)
    return found


def _check_subject(actor: Any, agreement: Any) -> None:
    """Nobody says what holds for the organisation to which they belong: the narrowest rule holds whole."""
    if agreement is not None:
        check_stranger(actor, agreement.organisation)


def _move(rule: IdleRule, event: str, *, actor: Any, fields: tuple[str, ...] = (), **changes: Any) -> None:
    before, rule.state = rule.state, IDLE_RULE.next(rule.state, event)
    rule.save(update_fields=["state", *fields])
    audit.record(actor=actor, verb=f"idle_rule.{event}", target=rule, changes={"state": [before, rule.state]} | changes)


def _said(rule: IdleRule) -> dict[str, Any]:
    subject = rule.subject.public_id if rule.subject is not None else ""
    return {"scope": rule.scope, "subject": subject, "version": rule.version, "reason": rule.reason} | rule.values


def _check(values: Mapping[str, Any]) -> None:
    for name in values:
        if name not in VALUES:
            raise RuleBroken(_("There is no rule %(name)s.") % {"name": name}, code="unknown_rule", field=name)
    for name, (least, most) in LIMITS.items():
        if name in values and not least <= values[name] <= most:
            raise RuleBroken(
                _("%(rule)s: from %(least)s to %(most)s.") % _bounds(name, least, most),
                code="rule_value",
                remedy=_("Choose a value in between."),
                field=name,
                facts={"rule": name, "least": least, "most": most, "asked": values[name]},
            )
    for name in ("window_seconds", "first_seconds"):
        if values.get(name, 0) % HOUR:
            raise RuleBroken(
                _("The evidence is kept by the hour."),
                code="rule_value",
                remedy=_("Round it to whole hours."),
                field=name,
                facts={"rule": name, "asked": values[name]},
            )


def _bounds(name: str, least: int, most: int) -> dict[str, Any]:
    scale, unit = (1, "%") if name.endswith("_percent") else (HOUR, _("hours"))
    if name == "used_again_seconds":
        scale, unit = 60, _("minutes")
    label = getattr(IdleRule._meta.get_field(name), "verbose_name", name)
    return {"rule": label, "least": least // scale, "most": f"{most // scale} {unit}"}


def _needed(reason: str) -> str:
    if not reason.strip():
        raise RuleBroken(_("A reason is needed."), code="reason_missing", remedy=_("Write one."), field="reason")
    return reason.strip()[:300]


def _moved_on() -> WrongState:
    return WrongState(
        _("Somebody else has changed these rules meanwhile."),
        code="rules_changed",
        remedy=_("Please reload the page and look at its present state."),
    )
