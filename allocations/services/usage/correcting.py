"""A decided minute that was something else: an entry beside it, with the reason and whose it is."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from allocations.models import Lease, UsageCorrection, UsageHour
from allocations.rules import may_correct_usage
from allocations.selectors.usage.minutes import corrected
from allocations.selectors.usage.seconds import seconds_of
from allocations.services.telling import tell_partner
from allocations.services.usage.deciding import lock_days, make_days
from allocations.usage_classes import UsageClass
from audit import services as audit
from cluster.models import Device
from common.errors import RuleBroken
from common.permissions import require
from common.quantities import seconds_to_hours
from partners.services.strangers import check_stranger

_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)
LONGEST = timedelta(days=31)
LEAVE = "."


@transaction.atomic
def correct(
    *,
    actor: Any,
    lease: Lease,
    device: Device | None,
    starts_at: datetime,
    ends_at: datetime,
    to_class: str,
    reason: str,
) -> list[UsageCorrection]:
    """Say what decided minutes of a lease in [starts_at, ends_at) were, on one device or (None) on all of them.

    The entries that were made: one for each stretch of an hour that had one class; those that were it already are left
    alone. RuleBroken where the reason is missing or nothing decided lies in the time.
    """
    require(actor, may_correct_usage)
    check_stranger(actor, lease.allocation.project.organisation)
    _check(lease, starts_at, ends_at, reason)
    lease = Lease.objects.select_for_update(no_key=True).get(pk=lease.pk)
    hours = UsageHour.objects.filter(lease=lease, hour__gt=starts_at - _HOUR, hour__lt=ends_at)
    if device is not None:
        hours = hours.filter(device=device)
    wanted = UsageClass(to_class)
    made = enter(
        lease,
        [(row, _wanted(row, starts_at, ends_at, wanted)) for row in hours.order_by("device_id", "hour")],
        reason=reason.strip()[:300],
        actor=actor,
    )
    if not made:
        raise RuleBroken(
            _("No decided minute of this reservation is changed by that."),
            code="nothing_to_correct",
            remedy=_("Choose a time that is decided, and a class that its minutes do not have."),
            field="starts_at",
        )
    changes = {
        "device": device.public_id if device else "",
        "from": starts_at,
        "until": ends_at,
        "to": to_class,
        "seconds": sum(entry.seconds for entry in made),
        "reason": reason.strip()[:300],
    }
    audit.record(actor=actor, verb="lease.usage_corrected", target=lease, changes=changes)
    moved = seconds_to_hours(sum(entry.seconds for entry in made))
    tell_partner(lease, "usage_corrected", to=wanted.label, hours=moved, reason=reason.strip()[:300])
    return made


def _check(lease: Lease, starts_at: datetime, ends_at: datetime, reason: str) -> None:
    if not reason.strip():
        raise RuleBroken(
            _("A correction needs a reason."), code="reason_missing", remedy=_("Write one sentence."), field="reason"
        )
    if ends_at <= starts_at or ends_at - starts_at > LONGEST:
        raise RuleBroken(
            _("The end must be after the beginning, by 31 days at most."),
            code="bad_window",
            remedy=_("Correct a longer time in parts."),
            field="ends_at",
        )


def _wanted(row: UsageHour, starts_at: datetime, ends_at: datetime, to_class: UsageClass) -> str:
    """The hour's letters as they should be."""
    asked = (starts_at <= row.hour + place * _MINUTE < ends_at for place in range(60))
    return "".join(to_class.letter if each else LEAVE for each in asked)


def enter(lease: Lease, wanted: list[tuple[UsageHour, str]], *, reason: str, actor: Any) -> list[UsageCorrection]:
    """Append what leads from what is kept of these hours to the letters wanted, where these say something, and make the
    days anew; the entries.

    The caller has locked the lease. A blank says that the minute was not held, `LEAVE` says nothing of it.
    """
    before: dict[tuple[int, datetime], list[UsageCorrection]] = {}
    for entry in UsageCorrection.objects.filter(lease=lease, hour__in=[row.hour for row, _codes in wanted]):
        before.setdefault((entry.device_id, entry.hour), []).append(entry)
    person = actor if getattr(actor, "pk", None) else None
    made = []
    seconds = seconds_of(lease, [row for row, _codes in wanted])
    for row, codes in wanted:
        kept = corrected(row.codes.ljust(60), before.get((row.device_id, row.hour), ()))
        for first, last, old, new in _stretches(kept, codes):
            made.append(
                UsageCorrection(
                    lease=lease,
                    device_id=row.device_id,
                    hour=row.hour,
                    first_minute=first,
                    last_minute=last,
                    from_class=UsageClass.of_letter(old),
                    to_class=UsageClass.of_letter(new) if new != " " else "",
                    seconds=sum(seconds[row.pk][first : last + 1]),
                    reason=reason,
                    actor=person,
                    actor_label=actor.label,
                    at=timezone.now(),
                )
            )
    made = [entry for entry in made if entry.seconds > 0]
    if made:
        lock_days()  # before their keys are given: whoever holds it knows all corrections up to the newest
        UsageCorrection.objects.bulk_create(made)
        hours = [entry.hour for entry in made]
        make_days(min(hours), max(hours) + _HOUR, [lease.pk])
    return made


def _stretches(kept: str, wanted: str) -> Iterator[tuple[int, int, str, str]]:
    """(first minute, last minute, letter that is kept, letter that is wanted), where they differ."""

    def change(place: int) -> tuple[str, str] | None:
        old, new = kept[place], wanted[place]
        if old in (" ", new) or new == LEAVE:
            return None
        return old, new

    for pair, places in groupby(range(60), key=change):
        if pair is not None:
            found = list(places)
            yield found[0], found[-1], *pair
