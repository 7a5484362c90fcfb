"""What an award promises of a pool: how many GPUs at once at all, and how many of them at every moment."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from allocations.models import Envelope
from allocations.selectors.capacities import capacity
from allocations.selectors.envelopes import Commitment, commitment
from allocations.services import envelopes
from allocations.timeline import Busy
from cluster.models import Pool
from common.errors import RuleBroken
from proposals.awards import AwardAsk
from proposals.models import AwardLine, Proposal
from proposals.selectors import waiting_awards
from proposals.services.drafting import on_line

PROMISE_LOCK = 0x6269_7406
"""Of 32 bits, because the pool's key is the other half: awards on one pool are promised one after the other."""


def promise(
    *, actor: Any, proposal: Proposal, lines: list[AwardAsk], override_reason: str = ""
) -> list[Envelope | None]:
    """Hold what each line guarantees; the envelope of each, None where nothing is. The caller's transaction, under its
    retries.

    RuleBroken (field `lines.N.<field>`) past the pool, past its bound of over-commitment, or where more is guaranteed
    than nobody holds. With an `override_reason` the bound is as many points wider as OVERRIDE_PERCENT says.
    """
    one_at_a_time({ask.pool for ask in lines})
    check(proposal=proposal, lines=lines, override_reason=override_reason)
    return [_hold(actor, proposal, ask, place) for place, ask in enumerate(lines)]


def check(*, proposal: Proposal, lines: list[AwardAsk], override_reason: str = "") -> None:
    """The refusal that `promise` would begin with, as things stand, and nothing held. Six queries a line."""
    for place, ask in enumerate(lines):
        _check_guarantee(ask, place)
        _check_pool(ask, place)
        _check_commitment(ask, place, proposal, lines[:place], over=bool(override_reason))


def let_go(*, actor: Any, proposal: Proposal, reason: str) -> None:
    """The award is not taken: what it held is free."""
    for envelope in Envelope.objects.filter(award_ref=proposal.public_id, let_go_at=None):
        envelopes.let_go(actor=actor, envelope=envelope, reason=reason)


def attach(*, actor: Any, line: AwardLine, allocation: Any) -> None:
    """The award was accepted: its promise belongs to the allocation."""
    envelope = Envelope.objects.filter(public_id=line.envelope_ref).first()
    if envelope is not None:
        envelopes.attach(actor=actor, envelope=envelope, allocation=allocation)


def one_at_a_time(pools: Iterable[Pool]) -> None:
    """Whoever promises something of these pools waits until the caller's transaction is over."""
    with connection.cursor() as cursor:
        for pk in sorted(pool.pk for pool in pools):
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [PROMISE_LOCK, pk])


def _check_guarantee(ask: AwardAsk, place: int) -> None:
    if ask.guaranteed_gpus is not None and ask.guaranteed_gpus > ask.gpus:
        error = RuleBroken(_("No more can be guaranteed than is awarded."), code="past_award", field="guaranteed_gpus")
        raise on_line(error, place)


def _check_pool(ask: AwardAsk, place: int) -> None:
    found = capacity(ask.pool, max(ask.window_from, timezone.now()), ask.window_until)
    if ask.gpus > found.devices:
        error = RuleBroken(
            ngettext(
                "The pool %(pool)s has %(devices)s GPU in all.",
                "The pool %(pool)s has %(devices)s GPUs in all.",
                found.devices,
            )
            % {"pool": ask.pool.name, "devices": found.devices},
            remedy=_("Award at most so many, or choose another pool."),
            code="past_pool",
            field="gpus",
            facts={"rule": "pool", "ceiling": found.devices, "asked": ask.gpus},
        )
        raise on_line(error, place)


def _check_commitment(ask: AwardAsk, place: int, proposal: Proposal, before: list[AwardAsk], *, over: bool) -> None:
    same = [Busy(one.window_from, one.window_until, one.gpus) for one in before if one.pool.pk == ask.pool.pk]
    waiting = [*waiting_awards(ask.pool, but=proposal), *same]
    found = commitment(ask.pool, ask.window_from, ask.window_until, waiting)
    try:
        check_room(ask.pool, ask.gpus, found, over=over)
    except RuleBroken as error:
        raise on_line(error, place) from None


def check_room(pool: Pool, gpus: int, found: Commitment, *, over: bool = False) -> None:
    """RuleBroken (`over_committed`) where so many GPUs more pass what all awards on the pool may promise at once.

    `over`: as many points beyond the pool's own bound as OVERRIDE_PERCENT says.
    """
    percent = pool.overcommit_percent + (settings.OVERRIDE_PERCENT if over else 0)
    ceiling = found.devices * (100 + percent) // 100
    left = max(0, ceiling - found.promised)
    if gpus <= left:
        return
    facts = {"ceiling": ceiling, "percent": percent, "devices": found.devices, "promised": found.promised}
    message = _(
        "The awards on %(pool)s may promise %(ceiling)s GPUs at once (%(percent)s%% over the %(devices)s that "
        "it has); %(promised)s are promised in this window."
    )
    raise RuleBroken(
        message % {"pool": pool.name, **facts},
        remedy=_room_left(left, over=over),
        code="over_committed",
        field="gpus",
        facts={"rule": "over_commitment", "ceiling": ceiling, "used": found.promised, "asked": gpus, "left": left},
    )


def _room_left(left: int, *, over: bool) -> str:
    """What to do where the bound of a pool is passed."""
    if left:
        remedy = ngettext(
            "Award at most %(left)s GPU at once, or choose another window or pool.",
            "Award at most %(left)s GPUs at once, or choose another window or pool.",
            left,
        ) % {"left": left}
    else:
        remedy = _("Choose another window or pool.")
    if over:
        return remedy
    points = settings.OVERRIDE_PERCENT
    return f"{remedy} " + _(
        "Two officers together may pass the bound by up to %(points)s percentage points, with a reason."
    ) % {"points": points}


def _hold(actor: Any, proposal: Proposal, ask: AwardAsk, place: int) -> Envelope | None:
    gpus = ask.guaranteed_gpus
    start = max(ask.window_from, timezone.now())
    if gpus is None and not ask.pool.shared_nodes:
        return None  # one GPU would keep everybody off its node all the time: that an officer must want
    if gpus is None:
        free = capacity(ask.pool, start, ask.window_until, tenants=[proposal.organisation_id]).free
        gpus = min(ask.average_gpus, free)
    if gpus == 0:
        return None
    try:
        return envelopes.hold(
            actor=actor,
            pool=ask.pool,
            organisation=proposal.organisation,
            gpus=gpus,
            starts_at=start,
            ends_at=ask.window_until,
            award_ref=proposal.public_id,
        )
    except RuleBroken as error:
        raise on_line(error, place) from None
