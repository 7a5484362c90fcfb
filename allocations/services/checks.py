"""The rules that a booking must pass, each with its figures and what to do next."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, cast

from django.db.models import OuterRef, QuerySet, Subquery
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from allocations.charging import WHOLE, Weights, longest
from allocations.lifecycle import BOOKABLE
from allocations.models import Allocation, Lease
from allocations.rulebook import COUNTS_AS_NOW, HOUSE, Rulebook
from allocations.selectors.balances import balance, hold_of
from allocations.selectors.leases import BACKING, gpus_in, held_leases
from allocations.selectors.rulebooks import with_rules
from allocations.selectors.weights import with_weights
from allocations.services.rule_checks import check_concurrent
from allocations.services.telling import local
from allocations.shapes import Shape
from allocations.timeline import FOREVER, Busy, peak_exactly
from cluster.models import Device, Pool
from cluster.selectors import profiles_in
from common.compiled import question
from common.errors import RuleBroken, WrongState
from common.quantities import seconds_to_hours
from common.state_words import state_word
from partners.models import Membership
from partners.policy import check_booking
from partners.rules import knowing_role

SHORTEST = timedelta(minutes=10)


@question
def _locked_allocation(pk: int, actor: int | None) -> QuerySet[Allocation]:
    rows: Any = Allocation.objects.select_for_update(of=("self", "project__agreement"), no_key=True)
    rows = rows.select_related("project__agreement", "project__organisation", "pool__gpu_class", "envelope")
    rows = with_rules(with_weights(rows.filter(pk=pk)))
    if actor is None:
        return rows
    role = Membership.objects.filter(organisation=OuterRef("project__organisation"), user=actor).values("role")
    return rows.annotate(actor_role=Subquery(role[:1]))


def lock_allocation(pk: int, actor: Any = None) -> Allocation:
    """The allocation and its agreement, both locked: balance and ceilings are decided on them. One statement, which
    brings the weights of the pool, the rules in force (`rulebook_of`) and the actor's role along.
    """
    found = _locked_allocation.rows(pk, None if actor is None else actor.pk)
    if not found:
        raise Allocation.DoesNotExist
    allocation = found[0]
    if actor is not None:
        knowing_role(allocation.project.organisation, actor, allocation.actor_role)
    return cast(Allocation, allocation)


def window(starts_at: datetime, ends_at: datetime, now: datetime) -> tuple[datetime, datetime]:
    """The window as it counts: a start of the last five minutes is now."""
    if starts_at < now - COUNTS_AS_NOW:
        raise RuleBroken(
            _("The start lies in the past."),
            code="start_in_past",
            remedy=_("Choose now or a later time."),
            field="starts_at",
            facts={"now": now.isoformat()},
        )
    starts_at = max(starts_at, now)
    if ends_at <= starts_at:
        raise RuleBroken(
            _("The end must come after the start."),
            code="end_before_start",
            remedy=_("Choose a later end."),
            field="ends_at",
        )
    # A start that was moved to now by a few minutes does not make a ten-minute window too short.
    if ends_at - starts_at < SHORTEST - (COUNTS_AS_NOW if starts_at == now else timedelta()):
        raise RuleBroken(
            _("A reservation lasts ten minutes at least."),
            code="window_too_short",
            remedy=_("Choose a later end."),
            field="ends_at",
        )
    return starts_at, ends_at


def allocation_covers(allocation: Allocation, starts_at: datetime, ends_at: datetime) -> None:
    """WrongState unless it can be booked of; RuleBroken where the window leaves the allocation's own.

    One that is exhausted passes: what is left is the balance's word, and that names the hours (exhausting.py).
    """
    if allocation.state not in (*BOOKABLE, "exhausted"):
        raise WrongState(
            _("Nothing can be booked of this allocation now."),
            code="allocation_not_active",
            remedy=_("Its state is “%(state)s”.") % {"state": state_word(allocation.state, "allocation")},
            facts={"state": allocation.state},
        )
    if starts_at < allocation.valid_from or ends_at > allocation.valid_until:
        raise RuleBroken(
            _("The allocation is valid from %(start)s to %(end)s.")
            % {"start": local(allocation.valid_from), "end": local(allocation.valid_until)},
            code="outside_allocation",
            remedy=_("Choose a window within it."),
            field="starts_at" if starts_at < allocation.valid_from else "ends_at",
            facts={"valid_from": allocation.valid_from.isoformat(), "valid_until": allocation.valid_until.isoformat()},
        )


def part_of_a_gpu(pool: Pool, profile: str, shape: Shape) -> tuple[int, int]:
    """(memory slices, of how many) of a MIG profile, (1, 1) of a whole GPU; RuleBroken where the pool has none."""
    if not profile:
        return 1, 1
    offered = profiles_in(pool)
    if profile not in offered:
        raise RuleBroken(
            _("The pool %(pool)s has no MIG instances of %(profile)s.") % {"pool": pool.name, "profile": profile},
            code="profile",
            remedy=(
                _("It has: %(names)s.") % {"names": ", ".join(offered)} if offered else _("Book whole GPUs there.")
            ),
            field="profile",
            facts={"asked": profile, "offered": list(offered)},
        )
    if shape.kind == "nvlink":
        raise RuleBroken(
            _("MIG instances are not connected by NVLink."),
            code="shape",
            remedy=_("Book whole GPUs for that, or instances on one node."),
            field="shape",
            facts={"asked": profile},
        )
    return offered[profile]


def concurrency(
    allocation: Allocation,
    device_count: int,
    starts_at: datetime,
    ends_at: datetime,
    *,
    but: Lease | None = None,
    book: Rulebook = HOUSE,
    share: Fraction = WHOLE,
) -> None:
    """RuleBroken past the allocation's GPUs at once, the rules', or the agreement's ceilings and term. One query.

    MIG instances count by their `share` of a GPU; the sum is rounded up.
    """
    if device_count < 1:
        raise RuleBroken(
            _("At least one GPU is needed."), code="no_gpus", remedy=_("Ask for one or more."), field="device_count"
        )
    own, all_of_agreement = _running(allocation, starts_at, ends_at, but)
    asked = device_count * share
    left = max(0, math.floor((allocation.concurrent_gpus - own) / share))
    if device_count > left:
        raise RuleBroken(
            ngettext(
                "The allocation allows %(ceiling)s GPU at once; your other reservations hold %(used)s in this window.",
                "The allocation allows %(ceiling)s GPUs at once; your other reservations hold %(used)s in this window.",
                allocation.concurrent_gpus,
            )
            % {"ceiling": allocation.concurrent_gpus, "used": math.ceil(own)},
            code="concurrent_gpus",
            remedy=(
                ngettext("At most %(left)s GPU is left then.", "At most %(left)s GPUs are left then.", left)
                if share == WHOLE
                else _("At most %(left)s of these are left.")
            )
            % {"left": left},
            field="device_count",
            facts={"ceiling": allocation.concurrent_gpus, "used": math.ceil(own), "asked": device_count, "left": left},
        )
    check_concurrent(book, allocation, device_count, own, share)
    check_booking(
        allocation.project.agreement,
        gpus=math.ceil(asked),
        gpus_running_then=max(0, math.ceil(all_of_agreement + asked) - math.ceil(asked)),
        starts_at=starts_at,
        ends_at=ends_at,
        pool=allocation.pool.public_id,
    )


def balance_suffices(
    allocation: Allocation,
    device_count: int,
    starts_at: datetime,
    ends_at: datetime,
    *,
    already: int = 0,
    weights: Weights = (),
    share: Fraction = WHOLE,
) -> tuple[int, int]:
    """(device-seconds to hold, what is left then); RuleBroken with needed, left and the longest window that would fit.

    `already` are device-seconds that this lease holds (an extension holds only the difference); `weights` and `share`
    say what a second counts.
    """
    needed = hold_of(device_count, starts_at, ends_at, weights, share) - already
    left = balance(allocation).left
    if needed <= left:
        return needed, left - needed
    seconds = longest(left + already, device_count, starts_at, weights, share)
    fits = timedelta(seconds=seconds) >= SHORTEST
    raise RuleBroken(
        _("This needs %(needed)s GPU-hours and the allocation has %(left)s left.")
        % {"needed": _hours(needed), "left": _hours(left)},
        code="balance",
        remedy=(
            ngettext(
                "With %(count)s GPU the window can last until %(end)s.",
                "With %(count)s GPUs the window can last until %(end)s.",
                device_count,
            )
            % {"count": device_count, "end": local(starts_at + timedelta(seconds=seconds))}
            if fits
            else _("Take fewer GPUs, or release a reservation that you do not need.")
        ),
        field="ends_at",
        facts={
            "needed_device_seconds": needed,
            "left_device_seconds": left,
            "longest_seconds": seconds,
            "latest_end": (starts_at + timedelta(seconds=seconds)).isoformat() if fits else None,
        },
    )


def shape(asked: Shape, count: int) -> None:
    """RuleBroken unless so many devices can lie like this at all."""
    if not asked.fits(count):
        raise RuleBroken(
            _("%(count)s GPUs cannot be spread evenly over %(nodes)s nodes.") % {"count": count, "nodes": asked.nodes},
            code="shape",
            remedy=_("Ask for a multiple of the number of nodes."),
            field="shape_nodes",
            facts={"asked": count, "nodes": asked.nodes},
        )


def smallest(fewest: int | None, count: int) -> None:
    """RuleBroken unless the fewest devices that help lie between one and what is asked for."""
    if fewest is not None and not 1 <= fewest <= count:
        raise RuleBroken(
            _("The fewest cannot be more than the GPUs that you ask for."),
            code="smallest",
            remedy=_("Give a number from 1 to %(count)s, or leave it empty.") % {"count": count},
            field="smallest",
            facts={"asked": count, "smallest": fewest},
        )


def named_devices(named: Sequence[Device], count: int) -> None:
    """RuleBroken unless exactly `count` different devices are named."""
    if len({device.pk for device in named}) != count:
        raise RuleBroken(
            _("%(count)s different devices must be named.") % {"count": count},
            code="devices_named",
            remedy=_("Name as many as you book, or none."),
            field="devices",
        )


def _running(
    allocation: Allocation, starts_at: datetime, ends_at: datetime, but: Lease | None
) -> tuple[int | Fraction, int | Fraction]:
    own, every = [], []
    agreement = allocation.project.agreement_id
    for pk, start, end, state, *size in _beside.rows(agreement, starts_at, ends_at, None if but is None else but.pk):
        every.append(Busy(start, FOREVER if state in BACKING else end, gpus_in(*size)))
        if pk == allocation.pk:
            own.append(every[-1])
    return peak_exactly(own, starts_at, ends_at), peak_exactly(every, starts_at, ends_at)


@question
def _beside(agreement: int, starts_at: datetime, ends_at: datetime, but: int | None) -> QuerySet[Lease, Any]:
    rows = held_leases(starts_at, ends_at).filter(allocation__project__agreement_id=agreement).order_by()
    rows = rows if but is None else rows.exclude(pk=but)
    return rows.values_list("allocation_id", "starts_at", "ends_at", "state", "device_count", "slices", "slices_of")


def _hours(seconds: int) -> str:
    return number_format(seconds_to_hours(seconds), 2, force_grouping=True)
