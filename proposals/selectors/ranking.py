"""The proposals of a call in the order of their scores, and where the money ends."""

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import Avg, F, OuterRef, QuerySet, Subquery, Sum
from django.utils.translation import get_language

from proposals.models import AwardLine, Call, CallPool, Criterion, Proposal, ProposalStep, RequestLine, Review, Score
from proposals.scoring import Spread, ranks, spread, within_budget

GONE = ("draft", "returned", "withdrawn", "declined", "refused", "expired")
"""What takes no money."""
GIVEN = ("awarded", "accepted")


@dataclass(frozen=True)
class RankRow:
    """One proposal of the ranking. Amounts are device-seconds."""

    public_id: str
    number: str
    title: str
    organisation: str
    size: str
    region: str
    state: str
    step: str
    asked_gpus: int
    asked_seconds: int
    rank: int | None
    scores: Spread | None
    needed: int
    is_within: bool
    counts: bool
    by_criterion: dict[int, Decimal] = field(default_factory=dict)

    @property
    def mean(self) -> Decimal | None:
        """Of the submitted reviews, 0 to 100."""
        return self.scores.mean if self.scores else None

    @property
    def reviews(self) -> int:
        """Submitted."""
        return self.scores.count if self.scores else 0


@dataclass(frozen=True)
class Ranking:
    """The rows that were asked for, ranked among all of the call."""

    rows: list[RankRow]
    criteria: list[Criterion]
    within: int
    """How many of those that count the budget lasts for."""
    budget_seconds: int | None
    total: int
    """How many count: scored, and asking for money still."""


def ranking(call: Call, queryset: QuerySet[Proposal] | None = None) -> Ranking:
    """Every submitted proposal of a call, or those of `queryset`; ranks and budget are of all. Seven queries, and one
    for the narrowing.

    In the order of rank; without a score last, by number. The money goes down that order, by GPU class.
    """
    totals = _totals(call)
    known = {row["pk"]: row for row in _facts(call.proposals.exclude(submitted_at=None))}
    scores = {pk: spread(totals[pk]) if pk in totals else None for pk in known}
    order = list(known)
    ranked = dict(zip(order, ranks([_mean(scores[pk]) for pk in order]), strict=True))
    order.sort(key=lambda pk: (ranked[pk] is None, ranked[pk] or 0, known[pk]["number"] or "", pk))
    asked = _asked(call)
    counting = [pk for pk in order if known[pk]["state"] not in GONE and ranked[pk] is not None]
    spent = _taken(call, known, asked)
    budgets = _budgets(call)
    within = counting[: within_budget((spent[pk] for pk in counting), budgets)]
    inside, counted = set(within), set(counting)
    wanted = order if queryset is None else _only(order, queryset)
    by_criterion = _by_criterion(call)
    rows = [
        _row(
            known[pk],
            rank=ranked[pk],
            scores=scores[pk],
            needed=call.reviews_needed,
            is_within=pk in inside,
            counts=pk in counted,
            asked=asked.get(pk, {}),
            step=known[pk]["open_step"] or "",
            by_criterion=by_criterion.get(pk, {}),
        )
        for pk in wanted
    ]
    open_ended = not budgets or any(most is None for most in budgets.values())
    budget = None if open_ended else sum(most or 0 for most in budgets.values())
    return Ranking(rows, list(call.criteria.all()), len(within), budget, len(counting))


def _mean(found: Spread | None) -> Decimal | None:
    return found.mean if found else None


def _only(order: list[int], queryset: QuerySet[Proposal]) -> list[int]:
    wanted = set(queryset.values_list("pk", flat=True))
    return [pk for pk in order if pk in wanted]


def _facts(rows: QuerySet[Proposal]) -> Any:
    """What a row says of itself; `open_step`: the kind of the step that is open."""
    open_step = ProposalStep.objects.current().filter(proposal=OuterRef("pk"), state="open").values("kind")[:1]
    return rows.annotate(open_step=Subquery(open_step)).values(
        "pk",
        "public_id",
        "number",
        "title",
        "state",
        "organisation__name_ko",
        "organisation__name_en",
        "organisation__size",
        "organisation__region",
        "open_step",
    )


def _totals(call: Call) -> dict[int, list[Decimal]]:
    found: dict[int, list[Decimal]] = defaultdict(list)
    rows = Review.objects.filter(
        assignment__proposal__call=call,
        assignment__version=F("assignment__proposal__version"),
        assignment__state="done",
        state="submitted",
    )
    for proposal, total in rows.values_list("assignment__proposal_id", "total"):
        found[proposal].append(total or Decimal(0))  # one that is submitted has its total (constraint)
    return found


def _asked(call: Call) -> dict[int, dict[str, tuple[int, int]]]:
    """By proposal and GPU class: (GPUs, device-seconds)."""
    found: dict[int, dict[str, tuple[int, int]]] = defaultdict(dict)
    rows = RequestLine.objects.filter(proposal__call=call).values("proposal_id", "gpu_class__code")
    for row in rows.annotate(count=Sum("gpus"), amount=Sum(F("gpus") * F("hours") * 3600)):
        found[row["proposal_id"]][row["gpu_class__code"]] = (row["count"], row["amount"])
    return found


def _taken(call: Call, known: dict[int, Any], asked: dict[int, Any]) -> dict[int, dict[str, int]]:
    """By proposal and GPU class, device-seconds: what was awarded where something was, else what is asked."""
    found: dict[int, dict[str, int]] = {
        pk: {name: amount for name, (_gpus, amount) in asked.get(pk, {}).items()} for pk in known
    }
    rows = AwardLine.objects.filter(
        decision__proposal__call=call, decision__proposal__state__in=GIVEN, decision__kind="award"
    )
    given: dict[int, dict[str, int]] = defaultdict(dict)
    latest: dict[int, int] = {}
    for proposal, decision, name, amount in rows.order_by("decision_id").values_list(
        "decision__proposal_id", "decision_id", "pool__gpu_class__code", "gpu_seconds"
    ):
        if latest.get(proposal) != decision:
            latest[proposal], given[proposal] = decision, {}
        given[proposal][name] = given[proposal].get(name, 0) + amount
    return found | given


def _budgets(call: Call) -> dict[str, int | None]:
    """By GPU class, device-seconds; None: open."""
    found: dict[str, int | None] = {}
    for name, budget in CallPool.objects.filter(call=call).values_list("pool__gpu_class__code", "budget_gpu_seconds"):
        before = found.get(name, 0)
        found[name] = None if budget is None or before is None else before + budget
    return found


def _by_criterion(call: Call) -> dict[int, dict[int, Decimal]]:
    """By proposal and place of the criterion: the mean of the points."""
    rows = Score.objects.filter(
        review__assignment__proposal__call=call,
        review__assignment__version=F("review__assignment__proposal__version"),
        review__assignment__state="done",
        review__state="submitted",
    ).values("review__assignment__proposal_id", "criterion__place")
    found: dict[int, dict[int, Decimal]] = defaultdict(dict)
    for row in rows.annotate(mean=Avg("points")):
        found[row["review__assignment__proposal_id"]][row["criterion__place"]] = row["mean"]
    return found


def _row(facts: dict[str, Any], *, asked: dict[str, tuple[int, int]], **more: Any) -> RankRow:
    english = (get_language() or "ko").startswith("en")
    return RankRow(
        public_id=facts["public_id"],
        number=facts["number"] or "",
        title=facts["title"],
        organisation=facts["organisation__name_en" if english else "organisation__name_ko"],
        size=facts["organisation__size"],
        region=facts["organisation__region"],
        state=facts["state"],
        asked_gpus=sum(gpus for gpus, _amount in asked.values()),
        asked_seconds=sum(amount for _gpus, amount in asked.values()),
        **more,
    )
