"""Officers' verbs: the rules of a pool, an agreement or an allocation, and the times when nothing may be booked."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from allocations.models import Blackout, BookingRules
from allocations.rule_words import NAMES, value_text
from allocations.rulebook import DAY_SECONDS, RULES, Scope
from allocations.rules import may_set_rules
from allocations.selectors.rulebooks import SUBJECTS, rules_of
from audit import services as audit
from cluster.models import Pool
from common.errors import RuleBroken, WrongState
from common.permissions import require
from partners.services.strangers import check_stranger

YEAR_SECONDS = 366 * DAY_SECONDS
LIMITS: dict[str, tuple[int, int]] = {
    "longest_seconds": (600, 2 * YEAR_SECONDS),
    "ahead_seconds": (0, 10 * YEAR_SECONDS),
    "future_leases": (0, 10_000),
    "extensions": (0, 10_000),
    "extension_window_seconds": (600, 2 * YEAR_SECONDS),
    "release_notice_seconds": (0, YEAR_SECONDS),
    "concurrent_gpus": (1, 100_000),
    "no_show_seconds": (0, YEAR_SECONDS),
    "no_show_grace_seconds": (600, YEAR_SECONDS),
    "early_return_percent": (0, 100),
}
"""The least and the most that may be said. `no_show_seconds` 0 switches that rule off; a notice is never shorter than
ten minutes."""


@transaction.atomic
def set_rules(
    *, actor: Any, scope: Scope, subject: Any, values: Mapping[str, int | None], version: int, reason: str
) -> BookingRules:
    """What a pool, an agreement or an allocation says from now on, whole: None, or left out, is not said here.

    What is booked stays as it is. `version` is the one that was looked at: WrongState (`rules_changed`, naming what is
    different now) where somebody else was quicker. Forbidden for all but officers; RuleBroken for one of the partner's.
    """
    require(actor, may_set_rules)
    _check_reason(reason)
    _check_values(values)
    # The subject's row, so that the first rules of a subject are not written twice, and no booking decides meanwhile.
    subject = SUBJECTS[scope].objects.select_for_update(no_key=True).get(pk=subject.pk)
    if scope != "pool":
        check_stranger(actor, (subject if scope == "agreement" else subject.project).organisation)
    rules = rules_of(scope, subject)
    before = {name: getattr(rules, name) for name in RULES}
    after = {name: values.get(name) for name in RULES}
    if rules.version != version:
        raise _changed(rules, before, after)
    changes = {name: [before[name], after[name]] for name in RULES if before[name] != after[name]}
    if not changes:
        return rules
    for name, value in after.items():
        setattr(rules, name, value)
    rules.version += 1
    rules.save()
    changes |= {"scope": [scope], "reason": [reason.strip()]}
    audit.record(actor=actor, verb="rules.set", target=subject, changes=changes)
    return rules


def _check_values(values: Mapping[str, int | None]) -> None:
    for name, value in values.items():
        if name not in LIMITS:
            raise RuleBroken(_("There is no rule %(name)s.") % {"name": name}, code="unknown_rule", field=name)
        least, most = LIMITS[name]
        if value is not None and not least <= value <= most:
            raise RuleBroken(
                _("%(rule)s: from %(least)s to %(most)s.") % _texts(name, least, most),
                code="rule_value",
                remedy=_("Choose a value in between, or leave it empty."),
                field=name,
                facts={"rule": name, "least": least, "most": most, "asked": value},
            )
        if value is not None and name.endswith("_seconds") and value % 60:
            raise RuleBroken(
                _("Rules are said in whole minutes."),
                code="rule_value",
                remedy=_("Round it to whole minutes."),
                field=name,
                facts={"rule": name, "asked": value},
            )


def _texts(name: str, least: int, most: int) -> dict[str, str]:
    if name == "no_show_seconds":
        return {"rule": str(NAMES[name]), "least": "0", "most": value_text(name, most)}
    return {"rule": str(NAMES[name]), "least": value_text(name, least), "most": value_text(name, most)}


def _changed(rules: BookingRules, now: dict[str, Any], asked: dict[str, Any]) -> WrongState:
    """What differs between the rules as they are now and what was sent: nothing is overwritten unseen."""
    different = [name for name in RULES if now[name] != asked[name]]
    listed = "; ".join(
        _("%(rule)s: now %(now)s, yours %(yours)s")
        % {"rule": NAMES[name], "now": _shown(name, now[name]), "yours": _shown(name, asked[name])}
        for name in different
    )
    return WrongState(
        _("Somebody else has changed these rules meanwhile. %(listed)s.") % {"listed": listed}
        if different
        else _("Somebody else has changed these rules meanwhile, to what you ask."),
        code="rules_changed",
        remedy=_("Compare, and save again if yours is to hold."),
        facts={"version": rules.version, "now": now, "different": different},
    )


def _shown(name: str, value: int | None) -> str:
    return _("not said here") if value is None else value_text(name, value)


@transaction.atomic
def announce_blackout(
    *, actor: Any, pool: Pool | None, starts_at: datetime, ends_at: datetime, reason_ko: str, reason_en: str
) -> Blackout:
    """Nothing may be booked in a pool (None: in any) from then to then. What is booked already stays as it is."""
    require(actor, may_set_rules)
    for field, text in (("reason_ko", reason_ko), ("reason_en", reason_en)):
        _check_reason(text, field)
    if ends_at <= starts_at:
        raise RuleBroken(
            _("The window must end after it begins."),
            code="window",
            remedy=_("Please correct the end."),
            field="ends_at",
        )
    if ends_at <= timezone.now():
        raise RuleBroken(
            _("This window is over already."), code="window", remedy=_("Please correct the end."), field="ends_at"
        )
    blackout = Blackout.objects.create(
        pool=pool, starts_at=starts_at, ends_at=ends_at, reason_ko=reason_ko.strip(), reason_en=reason_en.strip()
    )
    changes = {"pool": pool and pool.name, "starts_at": starts_at, "ends_at": ends_at, "reason": reason_en.strip()}
    audit.record(actor=actor, verb="blackout.announce", target=blackout, changes=changes)
    return blackout


@transaction.atomic
def cancel_blackout(*, actor: Any, blackout: Blackout, reason: str) -> Blackout:
    """The window can be booked again. WrongState where it is over or was cancelled before."""
    require(actor, may_set_rules)
    _check_reason(reason)
    blackout = Blackout.objects.select_for_update(no_key=True).get(pk=blackout.pk)
    now = timezone.now()
    if blackout.cancelled_at is not None or blackout.ends_at <= now:
        raise WrongState(
            _("This blackout is over or cancelled already."), code="blackout_over", remedy=_("There is nothing to do.")
        )
    blackout.cancelled_at = now
    blackout.save(update_fields=["cancelled_at"])
    audit.record(actor=actor, verb="blackout.cancel", target=blackout, changes={"reason": reason.strip()})
    return blackout


def _check_reason(reason: str, field: str = "reason") -> None:
    if not reason.strip():
        raise RuleBroken(_("A reason is needed."), code="reason_missing", remedy=_("Write one."), field=field)
