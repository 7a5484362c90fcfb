"""What a call says and lacks, in the reader's words."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from accounts.models import User
from cluster.models import Pool
from common.errors import Text
from common.overtaken import Difference
from common.quantities import seconds_to_hours
from partners.models import Organisation
from proposals.models import Call, CallStep, Question
from proposals.terms import CallTerms, CriterionTerms, DateTerms, Offer, QuestionTerms, StepTerms

LABELS: dict[str, Any] = {
    "title_ko": gettext_lazy("Title in Korean"),
    "title_en": gettext_lazy("Title in English"),
    "text_ko": gettext_lazy("Text in Korean"),
    "text_en": gettext_lazy("Text in English"),
    "contact": gettext_lazy("Contact"),
    "closes_at": gettext_lazy("Closes"),
    "answer_days": gettext_lazy("Days to answer an award"),
    "sizes": gettext_lazy("Company sizes"),
    "regions": gettext_lazy("Regions"),
    "most_years": gettext_lazy("Most years since the founding"),
    "most_proposals": gettext_lazy("Most proposals of one organisation"),
    "smallest_gpu_seconds": gettext_lazy("Smallest ask, GPU-hours"),
    "largest_gpu_seconds": gettext_lazy("Largest ask, GPU-hours"),
    "fast_lane": gettext_lazy("Small asks are decided"),
    "fast_lane_gpu_seconds": gettext_lazy("Small means at most, GPU-hours"),
    "held_back_percent": gettext_lazy("Held back until a progress report, per cent"),
    "reviews_needed": gettext_lazy("Reviews of each proposal"),
    "blind": gettext_lazy("Reviewers do not learn whose proposal it is"),
    "reviewers_see": gettext_lazy("Reviewers read of other reviews"),
    "two_person_gpu_seconds": gettext_lazy("Second officer from, GPU-hours"),
    "offers": gettext_lazy("Pools and budgets"),
    "criteria": gettext_lazy("Criteria"),
    "questions": gettext_lazy("Questions"),
    "steps": gettext_lazy("Steps"),
    "dates": gettext_lazy("Time line"),
}


@dataclass(frozen=True)
class Gap:
    """What is missing: in which section of the editor, on which field, and in words."""

    section: str
    field: str
    message: Text


def missing_of(terms: CallTerms, published_at: datetime | None = None) -> list[Gap]:
    """What a call still needs before it can be shown to everybody; empty: nothing."""
    found = [
        Gap("texts", f"text_{code}", message)
        for code, message in (
            ("ko", _("The text in Korean is missing.")),
            ("en", _("The text in English is missing.")),
        )
        if not getattr(terms, f"text_{code}").strip()
    ]
    if not terms.offers:
        found.append(Gap("pools", "offers", _("It offers no pool yet.")))
    kinds = {step.kind for step in terms.steps}
    if CallStep.Kind.EXPERT in kinds and not terms.criteria:
        found.append(Gap("criteria", "criteria", _("Experts review it, but it has no criteria.")))
    if terms.closes_at is None:
        return found
    if terms.closes_at <= (published_at or timezone.now()):
        found.append(Gap("dates", "closes_at", _("The cut-off must come after the publication.")))
    for step in terms.steps:
        if step.due_at is None:
            found.append(Gap("steps", "steps", _("The step “%(step)s” has no deadline.") % {"step": _step(step.kind)}))
        elif step.due_at <= terms.closes_at:
            message = _("The deadline of the step “%(step)s” must come after the cut-off.")
            found.append(Gap("steps", "steps", message % {"step": _step(step.kind)}))
    return found


def difference_of(name: str, theirs: CallTerms, mine: CallTerms) -> Difference:
    """One part that differs: its label, what is kept now and what was typed."""
    return Difference(LABELS[name], said(name, getattr(theirs, name)), said(name, getattr(mine, name)), name)


def said(name: str, value: Any) -> str:
    """A value of a call as a person reads it; an en dash for nothing."""
    if value is None or value == () or value == "":
        return "–"
    if name.endswith("_gpu_seconds"):
        return str(seconds_to_hours(value))
    choices: dict[str, Any] = {
        "sizes": Organisation.Size,
        "regions": Organisation.Region,
        "fast_lane": Call.FastLane,
        "reviewers_see": Call.Sees,
    }
    if name in choices:
        values = value if isinstance(value, tuple) else (value,)
        return ", ".join(str(choices[name](entry).label) for entry in values)
    if isinstance(value, tuple):
        return "; ".join(_row(entry) for entry in value)
    return _word(value)


def _row(row: Any) -> str:
    if isinstance(row, Offer):
        budget = _("no bound") if row.budget_gpu_seconds is None else str(seconds_to_hours(row.budget_gpu_seconds))
        return f"{row.pool.name}: {budget}"
    if isinstance(row, CriterionTerms):
        return f"{_label(row)} ({row.weight} × 0–{row.scale})"
    if isinstance(row, QuestionTerms):
        kind = str(Question.Kind(row.kind).label)
        return f"{_label(row)} ({kind}{', ' + _('required') if row.is_required else ''})"
    if isinstance(row, StepTerms):
        return f"{_step(row.kind)}: {_word(row.owner)}, {_word(row.due_at)}"
    assert isinstance(row, DateTerms)
    return f"{row.on.isoformat()} {_label(row)}"


def _word(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, datetime):
        return timezone.localtime(value).strftime("%Y-%m-%d %H:%M %Z")
    if isinstance(value, date):
        return value.isoformat()
    return str(value.name) if isinstance(value, Pool | User) else str(value)


def _label(row: Any) -> str:
    return row.label_en if (get_language() or "ko").startswith("en") else row.label_ko


def _step(kind: str) -> str:
    return str(CallStep.Kind(kind).label)
