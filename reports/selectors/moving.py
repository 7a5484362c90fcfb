"""A what-if of machines and windows: nodes taken away; reservations, maintenance and awards at another time."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, F, Max, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from allocations.lifecycle import HELD, OPEN
from allocations.models import Allocation, Envelope, Lease, Placement
from allocations.promises import promises_on
from allocations.selectors.boards import Parts
from allocations.shapes import choose
from allocations.timeline import FOREVER
from cluster.models import Device, MaintenanceWindow, Node, Pool
from cluster.selectors import bookable_devices, maintenance_between
from common.errors import RuleBroken
from proposals.models import AwardLine
from reports.capacity import Ask, Window, between, removal_steps, rescheduling_steps
from reports.elsewhere import Ground, Spot, Stay, Taken, first_gap, homeless
from reports.scenario import Draft, Loser, Move, Moved, Pinned
from reports.selectors.board import supplies

_EARLY = datetime.min.replace(tzinfo=UTC)
_WHOSE = ("allocation__project__organisation", "allocation__pool")


def without_nodes(draft: Draft, nodes: Sequence[Node], at: datetime) -> None:
    """These nodes are gone from `at` on; reservations there go elsewhere in their pool where they fit."""
    pools = list({node.pool_id: node.pool for node in nodes}.values())
    keys = [node.pk for node in nodes]
    for node in supplies(pools, draft.now, FOREVER, nodes=Q(node__in=keys)):
        draft.steps += removal_steps(node, at, draft.now)
    lost = set(Device.objects.filter(node__in=keys).values_list("pk", flat=True))
    draft.pinned += _pinned(lost, at)
    hit = promises_on(lost, since=at)
    draft.losers += [Loser(promise.lease, len(promise.placements), begun=True) for promise in hit if promise.running]
    waiting = [promise for promise in hit if promise.scheduled]
    if not waiting:
        return
    leases = [promise.lease for promise in waiting]
    last = max(row.ends_at for row in leases) + max(pool.turnaround for pool in pools)
    ground = ground_of(pools, min(row.starts_at for row in leases), last)
    gone: set[str] = set()
    for pool in pools:
        stays = [_stay(row, ground, row.starts_at) for row in leases if row.allocation.pool_id == pool.pk]
        gone |= {stay.ref for stay in homeless(stays, ground.of(pool.pk), lost)}
    for promise in waiting:
        if promise.lease.public_id in gone:
            draft.losers.append(Loser(promise.lease, len(promise.placements), begun=False))
        else:
            draft.kept.append(promise.lease)


def _pinned(devices: set[int], at: datetime) -> list[Pinned]:
    """The guarantees that these devices keep from a moment on, by award: one query."""
    kept = Envelope.objects.filter(let_go_at=None, pins__device__in=devices, pins__until__gt=at)
    rows = kept.select_related("organisation").order_by("pk")
    return [
        Pinned(row.award_ref, row.organisation.name, row.gpus_there, row.last)
        for row in rows.annotate(gpus_there=Count("pins__device", distinct=True), last=Max("pins__until"))
    ]


def windows(draft: Draft, moves: Sequence[Move]) -> None:
    """Each of these begins at its new time. RuleBroken (field `move`) for what is not there, has begun, or is past."""
    for move in moves:
        if move.to <= draft.now:
            raise _refused(_("A window can only be moved into the future."), move, _("Please choose a later start."))
        kind = move.ref.partition("-")[0]
        if kind not in _MOVERS:
            raise _unknown(move)
        _MOVERS[kind](draft, move)


def ground_of(pools: Iterable[Pool], start: datetime, end: datetime) -> Ground:
    """What could be lent in these pools and what lies there in [start, end): three queries."""
    pools = list(pools)
    columns = ("pk", "node_id", "index", "facts__nvlink_count", "node__pool_id", "parent_id", "slices", "profile")
    spots = [Spot(*row) for row in bookable_devices(*pools, profile=None).values_list(*columns)]
    parts = Parts(spots)
    rows = Placement.objects.filter(node__pool__in=pools, released=False, window__overlap=(start, end))
    taken = [
        Taken(
            device_id=pk,
            node_id=row.node_id,
            start=row.window.lower or _EARLY,
            end=row.window.upper or FOREVER,
            tenant=row.organisation_id,
            shared=row.shared,
            holder=row.holder or "",
            pool_id=row.in_pool,
            kept_for=row.kept_for,
            own=pk == row.device_id,
        )
        for row in rows.annotate(
            holder=F("lease__public_id"), in_pool=F("node__pool_id"), kept_for=F("envelope__allocation_id")
        )
        for pk in {row.device_id, *parts.taken_by(row.board_id, row.slices.lower, row.slices.upper)}
    ]
    closed = maintenance_between(start, end).filter(node__pool__in=pools)
    for node_id, since, until, pool_id in closed.values_list("node_id", "starts_at", "ends_at", "node__pool_id"):
        taken.append(Taken(0, node_id, since, until, None, False, "", pool_id))
    return Ground(tuple(spots), tuple(taken))


def _stay(lease: Lease, ground: Ground, start: datetime) -> Stay:
    return Stay(
        ref=lease.public_id,
        tenant=lease.allocation.project.organisation_id,
        count=lease.device_count,
        layout=lease.layout,
        start=start,
        end=start + (lease.ends_at - lease.starts_at),
        devices=ground.devices_of(lease.public_id),
        allocation=0 if lease.profile else lease.allocation_id,
        turnaround=lease.allocation.pool.turnaround,
        profile=lease.profile,
    )


def _lease(draft: Draft, move: Move) -> None:
    lease = Lease.objects.filter(public_id=move.ref).select_related(*_WHOSE).first()
    if lease is None:
        raise _unknown(move)
    if lease.state != "scheduled":
        raise _begun(move)
    pool, shift = lease.allocation.pool, move.to - lease.starts_at
    placed = Placement.objects.filter(lease=lease, released=False).values_list("window", flat=True)
    for window in placed:
        later = (window.lower + shift, window.upper and window.upper + shift)
        draft.steps += between(pool.pk, window.lower, window.upper, booked=-float(lease.share))
        draft.steps += between(pool.pk, *later, booked=float(lease.share))
    ground = ground_of([pool], min(move.to, lease.starts_at), FOREVER)
    stay = _stay(lease, ground, move.to)
    ways = ground.in_the_way(stay, stay.start, stay.clean)
    refs = {row.holder for row in ways if row.holder}
    others = Lease.objects.filter(public_id__in=refs).select_related(*_WHOSE).order_by("starts_at", "public_id")
    elsewhere = bool(ways) and choose(ground.free(stay, stay.start, stay.clean), stay.count, stay.layout) is not None
    covered = lease.allocation.valid_from <= stay.start and stay.end <= lease.allocation.valid_until
    draft.moved.append(
        Moved(
            ref=lease.public_id,
            label=lease.allocation.project.organisation.name,
            url=lease.get_absolute_url(),
            start=stay.start,
            end=stay.end,
            in_the_way=tuple(others),
            closed=any(row.tenant is None for row in ways),
            elsewhere=elsewhere,
            first_fit=ground.first_start(stay, move.to) if ways and not elsewhere else None,
            outside=() if covered else (lease,),
        )
    )


def _maintenance(draft: Draft, move: Move) -> None:
    found = MaintenanceWindow.objects.filter(public_id=move.ref, cancelled_at=None).select_related("node__pool").first()
    if found is None:
        raise _unknown(move)
    if found.starts_at <= draft.now:
        raise _begun(move)
    old: Window = (found.starts_at, found.ends_at)
    new: Window = (move.to, move.to + (found.ends_at - found.starts_at))
    for node in supplies([found.node.pool], _EARLY, FOREVER, nodes=Q(node=found.node_id)):
        draft.steps += rescheduling_steps(node, old, new, draft.now)
    hit = promises_on(found.node.devices.values_list("pk", flat=True), since=move.to)
    standing = [promise for promise in hit if promise.scheduled or promise.running]
    spans = [(row.window.lower, row.window.upper or FOREVER) for promise in standing for row in promise.placements]
    ways = tuple(
        promise.lease
        for promise in standing
        if any(row.window.lower < new[1] and (row.window.upper or FOREVER) > new[0] for row in promise.placements)
    )
    draft.moved.append(
        Moved(
            ref=found.public_id,
            label=found.node.name,
            url=found.get_absolute_url(),
            start=new[0],
            end=new[1],
            in_the_way=ways,
            first_fit=first_gap(spans, new[1] - new[0], move.to) if ways else None,
        )
    )


def _allocation(draft: Draft, move: Move) -> None:
    rows = Allocation.objects.filter(public_id=move.ref, state__in=OPEN)
    row = rows.select_related("project__organisation", "pool").first()
    if row is None:
        raise _unknown(move)
    if row.valid_from <= draft.now:
        raise _begun(move)
    window = (move.to, move.to + (row.valid_until - row.valid_from))
    draft.steps += between(row.pool_id, row.valid_from, row.valid_until, promised=-row.concurrent_gpus)
    draft.asks.append(_ask(row.public_id, str(row.project.organisation.name), row.pool_id, row.concurrent_gpus, window))
    leases = row.leases.filter(Q(starts_at__lt=window[0]) | Q(ends_at__gt=window[1]), state__in=HELD)
    draft.moved.append(
        Moved(
            ref=row.public_id,
            label=row.project.organisation.name,
            url=row.get_absolute_url(),
            start=window[0],
            end=window[1],
            outside=tuple(leases.select_related(*_WHOSE).order_by("starts_at", "public_id")),
        )
    )


def _award(draft: Draft, move: Move) -> None:
    """All lines of an award that waits for its answer, the first of them at the new time."""
    lines = AwardLine.objects.filter(decision__proposal__public_id=move.ref, decision__proposal__state="awarded")
    rows = list(lines.select_related("decision__proposal__organisation"))
    if not rows:
        raise _unknown(move)
    first = min(line.window_from for line in rows)
    if first <= draft.now:
        raise _begun(move)
    proposal, shift = rows[0].decision.proposal, move.to - first
    for line in rows:
        window = (line.window_from + shift, line.window_until + shift)
        draft.steps += between(line.pool_id, line.window_from, line.window_until, promised=-line.gpus)
        draft.asks.append(_ask(move.ref, str(proposal.organisation.name), line.pool_id, line.gpus, window))
    until = max(line.window_until for line in rows) + shift
    name, url = proposal.organisation.name, proposal.get_absolute_url()
    draft.moved.append(Moved(ref=move.ref, label=name, url=url, start=move.to, end=until))


def _ask(ref: str, name: str, pool_id: int, gpus: int, window: Window) -> Ask:
    """The days of the agency that a window touches."""
    zone = timezone.get_default_timezone()
    first = window[0].astimezone(zone).date()
    last = (window[1] - timedelta(microseconds=1)).astimezone(zone).date()
    return Ask(ref, f"{ref} · {name}", (pool_id,), gpus, first, (last - first).days + 1, window)


_MOVERS: dict[str, Any] = {"lease": _lease, "maint": _maintenance, "alloc": _allocation, "prop": _award}


def _unknown(move: Move) -> RuleBroken:
    return _refused(
        _("There is no reservation, maintenance window, allocation or waiting award “%(ref)s”.") % {"ref": move.ref},
        move,
        _("Please give its id, like lease-7f3k2m; the details of a week list them."),
        code="unknown_window",
    )


def _begun(move: Move) -> RuleBroken:
    return _refused(
        _("%(ref)s has begun or is over: it cannot be moved.") % {"ref": move.ref},
        move,
        _("Please choose one that has not begun."),
        code="has_begun",
    )


def _refused(message: str, move: Move, remedy: str, code: str = "past_move") -> RuleBroken:
    return RuleBroken(
        message, code=code, remedy=remedy, field="move", facts={"window": move.ref, "to": move.to.isoformat()}
    )
