"""What would become of the board if: nothing here writes, and nothing is kept.

A change is turned into steps (see reports.capacity), which `board` lays over today's; what it would do to those who
count on the machines is said by name. The number of queries grows neither with the fleet nor with how much is asked.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from allocations.lifecycle import OPEN
from allocations.models import Allocation
from cluster.models import Pool
from common.errors import RuleBroken
from common.moments import agency_today, begin_of
from proposals.models import AwardLine, RequestLine
from proposals.selectors import window_of
from reports.capacity import Ask, Rooms, Step, Verdict, between, edges, excesses, judge, supply_steps
from reports.scenario import Approval, Changes, Claim, Clash, Draft, Scenario
from reports.selectors import moving
from reports.selectors.board import Group, supplies, swept

BEYOND = timedelta(days=366)
"""How long after the last window that is asked about a first fit is looked for."""
MOST_DAYS = 1_500
FAR_DAYS = 3_650
"""Days after which nobody looks: what was returned to its partner may say anything."""
NAMED = 20
"""Of those who count on a pool in a stretch that is over-committed, so many are named."""


def scenario(changes: Changes, now: datetime) -> Scenario:
    """What these changes come to. RuleBroken (field `approve`, `move` or `remove`) where one of them cannot be."""
    draft = Draft(now)
    if changes.add and changes.add_pool:
        draft.steps.append(Step(changes.add_pool.pk, _from(changes.add_on, now), physical=changes.add))
    if changes.remove:
        moving.without_nodes(draft, changes.remove, _from(changes.remove_on, now))
    if changes.moves:
        moving.windows(draft, changes.moves)
    draft.asks += _asks(changes.approve)
    verdicts = judge(draft.asks, _rooms(draft)) if draft.asks else []
    draft.steps += [step for verdict in verdicts for step in _promised(verdict)]
    return Scenario(
        tuple(draft.steps),
        tuple(verdicts),
        tuple(draft.losers),
        tuple(draft.kept),
        tuple(draft.moved),
        tuple(draft.pinned),
    )


def clashes(groups: Iterable[Group]) -> list[Clash]:
    """Where the changed board over-commits more than today's, and who counts on it: two queries."""
    found = []
    for group in groups:
        pairs = [(bucket.now, bucket.changed) for bucket in group.buckets if bucket.changed]
        for run in excesses(pairs):
            found.append((group, run))
    if not found:
        return []
    windows = [(group.buckets[run.first].since, group.buckets[run.last].until) for group, run in found]
    first, last = min(since for since, _until in windows), max(until for _since, until in windows)
    claims = claims_between({pool for group, _run in found for pool in group.pools}, first, last)
    named = []
    for (group, run), (since, until) in zip(found, windows, strict=True):
        names = {pool.name for pool in group.pools}
        here = [row for row in claims if row.pool in names and row.since < until and row.until > since]
        more = max(0, len(here) - NAMED)
        named.append(Clash(group.name, since, until, run.over, run.before, tuple(here[:NAMED]), more))
    return named


def claims_between(pools: Iterable[Pool], start: datetime, end: datetime) -> list[Claim]:
    """Who is promised GPUs of these pools somewhere in [start, end), the largest first: two queries."""
    keys = [pool.pk for pool in pools]
    open_ones = Allocation.objects.filter(
        pool__in=keys, state__in=OPEN, valid_from__lt=end, valid_until__gt=start
    ).select_related("project__organisation", "pool")
    waiting = waiting_lines().filter(pool__in=keys, window_from__lt=end, window_until__gt=start)
    found = [_claim_of(row) for row in open_ones] + [_offer_of(line) for line in waiting]
    return sorted(found, key=lambda claim: (-claim.gpus, claim.since, claim.ref))


def waiting_lines() -> QuerySet[AwardLine]:
    """Lines of awards that wait for the partner's answer."""
    rows = AwardLine.objects.filter(decision__proposal__state="awarded")
    return rows.select_related("decision__proposal__organisation", "pool__gpu_class")


def _claim_of(row: Allocation) -> Claim:
    return Claim(
        ref=row.public_id,
        label=row.project.title,
        organisation=row.project.organisation.name,
        url=row.get_absolute_url(),
        pool=row.pool.name,
        gpus=row.concurrent_gpus,
        since=row.valid_from,
        until=row.valid_until,
        guaranteed=row.guaranteed_gpus,
    )


def _offer_of(line: AwardLine) -> Claim:
    proposal = line.decision.proposal
    return Claim(
        ref=proposal.public_id,
        label=proposal.title,
        organisation=proposal.organisation.name,
        url=proposal.get_absolute_url(),
        pool=line.pool.name,
        gpus=line.gpus,
        since=line.window_from,
        until=line.window_until,
        waiting=True,
        guaranteed=line.guaranteed_gpus,
    )


def _asks(approvals: Sequence[Approval]) -> list[Ask]:
    """One a request line of what waits for a decision, cut to the days that are not over: two queries."""
    if not approvals:
        return []
    sizes = {approval.proposal.pk: approval.gpus for approval in approvals}
    for approval in approvals:
        if approval.proposal.state not in ("submitted", "in_review", "returned"):
            raise _decided(approval.proposal)
    lines = RequestLine.objects.filter(proposal__in=sizes).select_related("proposal__organisation", "gpu_class")
    rows = list(lines.order_by("proposal__submitted_at", "pk"))
    pools: dict[int, list[int]] = {}
    for pk, class_id in Pool.objects.filter(gpu_class__in={row.gpu_class_id for row in rows}).values_list(
        "pk", "gpu_class_id"
    ):
        pools.setdefault(class_id, []).append(pk)
    today = agency_today()
    far = today + timedelta(days=FAR_DAYS)
    found = []
    for row in rows:
        size, first = sizes[row.proposal_id], max(today, row.window_from)
        days = (min(row.window_until, far) - first).days + 1
        if days > 0:
            gpus = row.gpus if size is None else min(size, row.gpus)
            found.append(
                Ask(row.proposal.public_id, _name(row), tuple(pools.get(row.gpu_class_id, ())), gpus, first, days)
            )
    if not found:
        raise RuleBroken(_("The windows of these proposals are over."), code="window_over", field="approve")
    return found


def _name(row: RequestLine) -> str:
    return f"{row.proposal.number or row.proposal.public_id} · {row.proposal.organisation.name} · {row.gpu_class.name}"


def _decided(proposal: Any) -> RuleBroken:
    awarded = proposal.state == "awarded"
    return RuleBroken(
        _("The proposal %(number)s does not wait for a decision.") % {"number": proposal.number or proposal.public_id},
        code="not_waiting",
        remedy=_("It is awarded: the board counts it as promised already.")
        if awarded
        else _("Please choose one that was submitted or is in review."),
        field="approve",
        facts={"proposal": proposal.public_id, "state": proposal.state},
    )


def _rooms(draft: Draft) -> Rooms:
    """What is left beside the promises, a day of the agency, with the changes so far: four queries."""
    pools = list(Pool.objects.filter(pk__in={pk for ask in draft.asks for pk in ask.pools}))
    if not pools:
        return {}
    first = agency_today()
    last = max(ask.first + timedelta(days=ask.days) for ask in draft.asks) + BEYOND
    last = min(last, first + timedelta(days=MOST_DAYS))
    found = edges(first, last, "day", timezone.get_default_timezone())
    supply = [step for node in supplies(pools, found[0], found[-1]) for step in supply_steps(node, draft.now)]
    figures = swept(pools, found, [*supply, *draft.steps], bookings=False)
    days = range(len(found) - 1)
    return {
        pool.pk: {first + timedelta(days=number): figures[pool.pk, number].room for number in days} for pool in pools
    }


def _promised(verdict: Verdict) -> list[Step]:
    """An award of the ask, whether it fits or not: the board then shows by how much it does not."""
    if verdict.pool_id is None:
        return []
    ask = verdict.ask
    start, end = window_of(ask.first, ask.first + timedelta(days=ask.days - 1))
    if ask.window is not None:
        start, end = ask.window
    return between(verdict.pool_id, start.astimezone(UTC), end.astimezone(UTC), promised=ask.gpus)


def _from(day: date | None, now: datetime) -> datetime:
    """The beginning of a day of the agency; what is past cannot be changed any more."""
    return max(now, begin_of(day).astimezone(UTC)) if day else now
