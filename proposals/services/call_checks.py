"""What a call may say: each value by itself, and what stands once it is open."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from common.errors import DomainError, RuleBroken, WrongState
from common.texts import composed, one_line
from partners.models import Organisation
from proposals.models import Call, CallStep, Question
from proposals.terms import (
    MAX_CHOICES,
    MAX_HELP,
    MAX_HOURS,
    MAX_LABEL,
    MAX_ROWS,
    MAX_TEXT,
    MAX_TITLE,
    ROWS,
    CallTerms,
    CriterionTerms,
    Offer,
    QuestionTerms,
    StepTerms,
)

FARTHEST = timedelta(days=3653)
NOTICE = timedelta(days=7)
"""How long before it a cut-off must be announced, where a call had none."""
STAY_OPEN = ("title_ko", "title_en", "text_ko", "text_en", "contact", "closes_at", "offers", "steps", "dates")
"""What may still change once a call is open; of offers and steps only a part, see check_standing."""
STAY_OVER = ("offers", "steps", "dates")
"""And once it is over: the work on its proposals goes on."""
STEP_ORDER = tuple(CallStep.Kind.values)
BOUNDS = {
    "most_years": (1, 200),
    "most_proposals": (1, 1_000),
    "reviews_needed": (1, 20),
    "answer_days": (1, 365),
    "held_back_percent": (0, 90),
    "smallest_gpu_seconds": (1, MAX_HOURS * 3600),
    "largest_gpu_seconds": (1, MAX_HOURS * 3600),
    "fast_lane_gpu_seconds": (0, MAX_HOURS * 3600),
    "two_person_gpu_seconds": (1, MAX_HOURS * 3600),
}


def cleaned(terms: CallTerms) -> CallTerms:
    """Texts composed and without surrounding blanks, lists without doubles. RuleBroken with the field to mend."""
    texts: dict[str, Any] = {name: one_line(getattr(terms, name)) for name in ("title_ko", "title_en", "contact")}
    texts |= {name: composed(getattr(terms, name)).strip() for name in ("text_ko", "text_en")}
    for name, value in texts.items():
        most = MAX_TEXT if name.startswith("text") else MAX_TITLE
        _check_length(value, most, name, least=1 if name.startswith("title") else 0)
    for name in ROWS:
        if len(getattr(terms, name)) > MAX_ROWS:
            raise RuleBroken(_("At most %(most)s lines.") % {"most": MAX_ROWS}, code="too_many", field=name)
    for name, (least, most) in BOUNDS.items():
        _check_bound(getattr(terms, name), least, most, name)
    found = replace(
        terms,
        **texts,
        sizes=_chosen(terms.sizes, Organisation.Size, "sizes"),
        regions=_chosen(terms.regions, Organisation.Region, "regions"),
        offers=_offers(terms.offers),
        criteria=tuple(_criterion(row, place) for place, row in enumerate(terms.criteria)),
        questions=tuple(_question(row, place) for place, row in enumerate(terms.questions)),
        steps=_steps(terms.steps),
        dates=tuple(sorted((_labelled(row, f"dates.{n}") for n, row in enumerate(terms.dates)), key=lambda d: d.on)),
    )
    _check_together(found)
    return found


def check_standing(call: Call, before: CallTerms, new: CallTerms, now: datetime) -> None:
    """What was announced stands: RuleBroken (field) where an open call would take something back; WrongState once over
    for what nobody could act on any more."""
    over = call.stage == "over"
    changed = [name for name in vars(new) if getattr(new, name) != getattr(before, name)]
    if over and (not changed or set(changed) - set(STAY_OVER)):
        raise WrongState(
            _("This call is over: it stays as it was answered."), code="call_over", remedy=_("Publish a new call.")
        )
    for name in changed:
        if name not in STAY_OPEN:
            raise _stands(name)
    if "offers" in changed:
        _check_offers_stand(before, new)
    if "steps" in changed and {step.kind for step in before.steps} != {step.kind for step in new.steps}:
        raise _stands("steps")
    if "closes_at" in changed:
        _check_cut_off(call, before, new, now)


def check_draft(call: Call, new: CallTerms, now: datetime) -> None:
    """RuleBroken where a cut-off lies before the call could be seen."""
    if new.closes_at is not None and new.closes_at <= max(now, call.published_at or now):
        raise RuleBroken(
            _("The cut-off must come after now and after the publication."),
            code="cut_off_too_early",
            remedy=_("Choose a later moment, or leave it empty for a rolling call."),
            field="closes_at",
        )


def _stands(name: str) -> RuleBroken:
    return RuleBroken(
        _("This call is open: what it offers and asks stands, because proposals are being written for it."),
        code="call_is_open",
        remedy=_("Publish another call for something else."),
        field=name,
    )


def _check_offers_stand(before: CallTerms, new: CallTerms) -> None:
    """The pools stay; a budget only ever grows."""
    had = {offer.pool.pk: offer.budget_gpu_seconds for offer in before.offers}
    if {offer.pool.pk for offer in new.offers} != set(had):
        raise _stands("offers")
    for place, offer in enumerate(new.offers):
        old, budget = had[offer.pool.pk], offer.budget_gpu_seconds
        if budget is not None and (old is None or budget < old):
            raise RuleBroken(
                _("The budget of a call that was published is only ever raised."),
                code="budget_lowered",
                remedy=_("Keep at least what was announced."),
                field=f"offers.{place}.budget_gpu_hours",
            )


def _check_cut_off(call: Call, before: CallTerms, new: CallTerms, now: datetime) -> None:
    if new.closes_at is None:
        return
    earliest = max(before.closes_at or now + NOTICE, _last_submission(call) or now, now)
    if new.closes_at < earliest:
        raise RuleBroken(
            _("The cut-off of an open call is only ever moved later.")
            if before.closes_at
            else _("A rolling call gets a cut-off with at least %(days)s days of notice.") % {"days": NOTICE.days},
            code="call_shortened",
            remedy=_("Choose %(earliest)s or later.")
            % {"earliest": timezone.localtime(earliest).strftime("%Y-%m-%d %H:%M %Z")},
            field="closes_at",
            facts={"earliest": earliest.isoformat()},
        )


def _last_submission(call: Call) -> datetime | None:
    """The newest submission; whatever was handed in stays handed in in time."""
    handed_in = call.proposals.filter(submitted_at__isnull=False).order_by("-submitted_at")
    return handed_in.values_list("submitted_at", flat=True).first()


def _check_length(value: str, most: int, field: str, least: int = 0) -> None:
    if not least <= len(value) <= most:
        raise RuleBroken(
            _("This needs a text of at most %(most)s characters.")
            % {"most": number_format(most, 0, force_grouping=True)},
            code="bad_text",
            field=field,
        )


def _check_bound(value: int | None, least: int, most: int, field: str) -> None:
    if value is None or least <= value <= most:
        return
    hours = field.endswith("_gpu_seconds")
    shown = (1 if hours else least, most // 3600 if hours else most)
    raise RuleBroken(
        _("This lies between %(least)s and %(most)s.")
        % {"least": shown[0], "most": number_format(shown[1], 0, force_grouping=True)},
        code="out_of_range",
        field=field.replace("_gpu_seconds", "_gpu_hours"),
    )


def _chosen(values: tuple[str, ...], choices: Any, field: str) -> tuple[str, ...]:
    if set(values) - set(choices.values):
        raise RuleBroken(_("This is not one of the choices."), code="unknown_choice", field=field)
    return tuple(value for value in choices.values if value in values)


def _offers(offers: tuple[Offer, ...]) -> tuple[Offer, ...]:
    seen: set[int] = set()
    for place, offer in enumerate(offers):
        if offer.pool.pk in seen:
            raise RuleBroken(_("This pool stands here twice."), code="pool_twice", field=f"offers.{place}.pool")
        seen.add(offer.pool.pk)
        _check_bound(offer.budget_gpu_seconds, 1, MAX_HOURS * 3600, f"offers.{place}.budget_gpu_seconds")
    return tuple(sorted(offers, key=lambda offer: offer.pool.pk))


def _labelled(row: Any, where: str) -> Any:
    texts = {name: one_line(getattr(row, name)) for name in ("label_ko", "label_en", "help_ko", "help_en")}
    for name, value in texts.items():
        label = name.startswith("label")
        _check_length(value, MAX_LABEL if label else MAX_HELP, f"{where}.{name}", least=1 if label else 0)
    return replace(row, **texts)


def _criterion(row: CriterionTerms, place: int) -> CriterionTerms:
    where = f"criteria.{place}"
    _check_bound(row.weight, 1, 100, f"{where}.weight")
    _check_bound(row.scale, 1, 100, f"{where}.scale")
    found: CriterionTerms = _labelled(row, where)
    return found


def _question(row: QuestionTerms, place: int) -> QuestionTerms:
    where = f"questions.{place}"
    if row.kind not in Question.Kind.values:
        raise RuleBroken(_("This is not one of the choices."), code="unknown_choice", field=f"{where}.kind")
    if row.kind != Question.Kind.CHOICE:
        return replace(_labelled(row, where), choices_ko=(), choices_en=())
    korean, english = (tuple(one_line(text) for text in texts) for texts in (row.choices_ko, row.choices_en))
    for texts, name in ((korean, "choices_ko"), (english, "choices_en")):
        for text in texts:
            _check_length(text, MAX_TITLE, f"{where}.{name}", least=1)
        if not 2 <= len(texts) <= MAX_CHOICES or len(set(texts)) < len(texts):
            raise RuleBroken(
                _("A choice needs two to %(most)s different answers, one a line.") % {"most": MAX_CHOICES},
                code="bad_choices",
                field=f"{where}.{name}",
            )
    if len(korean) != len(english):
        raise RuleBroken(
            _("Both languages need the same number of answers, in the same order."),
            code="bad_choices",
            field=f"{where}.choices_en",
        )
    return replace(_labelled(row, where), choices_ko=korean, choices_en=english)


def _steps(steps: tuple[StepTerms, ...]) -> tuple[StepTerms, ...]:
    kinds = [step.kind for step in steps]
    if set(kinds) - set(STEP_ORDER) or len(set(kinds)) < len(kinds):
        raise RuleBroken(_("A call takes each step once."), code="bad_steps", field="steps")
    found = tuple(sorted(steps, key=lambda step: STEP_ORDER.index(step.kind)))
    last: datetime | None = None
    for step in found:
        if step.due_at and last and step.due_at < last:
            raise RuleBroken(
                _("The deadlines of the steps follow each other."),
                code="steps_out_of_order",
                remedy=_("Choose a moment after the deadline of the step before it."),
                field=f"steps.{step.kind}.due_at",
            )
        last = step.due_at or last
    return found


def _check_together(terms: CallTerms) -> None:
    """What contradicts itself within one call."""
    least, most = terms.smallest_gpu_seconds, terms.largest_gpu_seconds
    refusal: DomainError | None = None
    if least and most and most < least:
        refusal = RuleBroken(
            _("The largest ask is smaller than the smallest one."), code="sizes_order", field="largest_gpu_hours"
        )
    elif terms.fast_lane != "off" and not terms.fast_lane_gpu_seconds:
        refusal = RuleBroken(
            _("Say up to how many GPU-hours an ask takes the fast lane."),
            code="fast_lane_size",
            field="fast_lane_gpu_hours",
        )
    elif terms.fast_lane not in Call.FastLane.values or terms.reviewers_see not in Call.Sees.values:
        refusal = RuleBroken(_("This is not one of the choices."), code="unknown_choice")
    elif terms.closes_at is not None and terms.closes_at > timezone.now() + FARTHEST:
        refusal = RuleBroken(
            _("A cut-off lies within the next ten years."),
            code="cut_off_too_late",
            remedy=_("Leave it empty for a rolling call."),
            field="closes_at",
        )
    if refusal:
        raise refusal
