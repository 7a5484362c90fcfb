"""What a second of a GPU counts on a pool from a moment on: announced beforehand, withdrawn only before it begins."""

from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from allocations.books import HEAVIEST
from allocations.charging import NORMAL
from allocations.models import PoolWeight
from allocations.rules import may_weigh
from allocations.services.checks import COUNTS_AS_NOW
from allocations.services.telling import local
from audit import services as audit
from cluster.models import Pool
from common.errors import RuleBroken, WrongState
from common.permissions import require
from notifications.services import notify
from partners.rules import MANAGING


@transaction.atomic
def announce(*, actor: Any, pool: Pool, weight: int, valid_from: datetime, reason: str) -> PoolWeight:
    """From a moment on a second of a GPU of the pool counts `weight` per mille.

    It holds for what is booked, changed or extended from now on; what is booked already keeps the weights that it was
    booked under. RuleBroken for a moment that is past or already has a weight.
    """
    require(actor, may_weigh)
    pool = Pool.objects.select_for_update(no_key=True).get(pk=pool.pk)
    valid_from = _check(pool, weight, valid_from.astimezone(UTC), reason)
    made = PoolWeight.objects.create(
        pool=pool, weight=weight, valid_from=valid_from, reason=reason.strip()[:200], set_by=actor
    )
    changes = {"weight": weight, "valid_from": valid_from, "reason": made.reason}
    audit.record(actor=actor, verb="pool.weigh", target=pool, changes=changes)
    _tell(made, "weight_announced")
    return made


@transaction.atomic
def withdraw(*, actor: Any, weight: PoolWeight, reason: str) -> PoolWeight:
    """Take an announced weight back before it begins; what was booked under it meanwhile keeps it. WrongState after."""
    require(actor, may_weigh)
    Pool.objects.select_for_update(no_key=True).get(pk=weight.pool_id)
    weight = PoolWeight.objects.select_related("pool").get(pk=weight.pk)
    now = timezone.now()
    if weight.withdrawn_at is not None or weight.valid_from <= now:
        raise WrongState(
            _("This weight is in force or withdrawn already."),
            code="weight_begun",
            remedy=_("Announce another one from a later moment."),
            facts={"valid_from": weight.valid_from.isoformat()},
        )
    weight.withdrawn_at, weight.withdrawn_by = now, actor
    weight.save(update_fields=["withdrawn_at", "withdrawn_by"])
    changes = {"weight": weight.weight, "valid_from": weight.valid_from, "reason": reason.strip()}
    audit.record(actor=actor, verb="pool.weight_withdraw", target=weight.pool, changes=changes)
    _tell(weight, "weight_withdrawn")
    return weight


def _check(pool: Pool, weight: int, valid_from: datetime, reason: str) -> datetime:
    """The moment as it counts: one of the last five minutes is now."""
    now = timezone.now()
    if not 0 < weight <= HEAVIEST:
        raise RuleBroken(
            _("A weight lies between 0.001 and %(most)s.") % {"most": HEAVIEST // NORMAL},
            code="weight_bounds",
            remedy=_("1 charges an hour as an hour."),
            field="weight",
            facts={"most": HEAVIEST, "asked": weight},
        )
    if not reason.strip():
        raise RuleBroken(
            _("A new weight needs a reason."), code="reason_missing", remedy=_("Write one sentence."), field="reason"
        )
    if valid_from < now - COUNTS_AS_NOW:
        raise RuleBroken(
            _("A weight cannot begin in the past: what was used is charged as it was announced."),
            code="weight_in_past",
            remedy=_("Choose now or a later time."),
            field="valid_from",
            facts={"now": now.isoformat()},
        )
    valid_from = max(valid_from, now)
    standing = PoolWeight.objects.filter(pool=pool, valid_from=valid_from, withdrawn_at=None).first()
    if standing is not None:
        raise RuleBroken(
            _("From %(at)s on, a weight is announced already: %(weight)s.")
            % {"at": local(valid_from), "weight": f"{standing.weight / NORMAL:g}"},
            code="weight_taken",
            remedy=_("Withdraw that one first, or choose another time."),
            field="valid_from",
            facts={"weight": standing.weight, "valid_from": valid_from.isoformat()},
        )
    return valid_from


def _tell(weight: PoolWeight, event: str) -> None:
    """The managers of every organisation that may still book on the pool: one query."""
    people = User.objects.filter(
        memberships__role__in=MANAGING,
        memberships__organisation__projects__allocations__pool=weight.pool,
        memberships__organisation__projects__allocations__state__in=("pending", "active", "suspended"),
    ).distinct()
    context = {
        "pool": weight.pool.name,
        "weight": f"{weight.weight / NORMAL:g}",
        "from": local(weight.valid_from),
        "reason": weight.reason,
    }
    notify(recipients=people, event=event, context=context, url=weight.get_absolute_url())
