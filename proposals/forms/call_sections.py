"""The pages of the call's editor."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from allocations.forms import MomentField
from cluster.models import Pool
from common.quantities import hours_to_seconds, seconds_to_hours
from partners.forms import DateField
from partners.models import Organisation
from proposals.call_words import LABELS
from proposals.forms.call_parts import HoursMixin, Row, SectionForm, hours_field, lines_of, rows_of
from proposals.models import Call, CallStep, Question
from proposals.terms import (
    MAX_HELP,
    MAX_LABEL,
    MAX_TEXT,
    MAX_TITLE,
    CallTerms,
    CriterionTerms,
    DateTerms,
    Offer,
    QuestionTerms,
    StepTerms,
)


def _text(name: str, *, lang: str) -> forms.CharField:
    return forms.CharField(
        label=LABELS[name],
        max_length=MAX_TEXT,
        required=False,
        widget=forms.Textarea(attrs={"rows": 10, "lang": lang}),
        help_text=_("Needed to publish."),
    )


def _same_minute(typed: Any, kept: Any) -> Any:
    """A browser sends no seconds: a moment that was not touched keeps its own."""
    return kept if kept is not None and typed == kept.replace(second=0, microsecond=0) else typed


class TextsForm(SectionForm):
    """What the call is called and says."""

    section = "texts"
    title_ko = forms.CharField(label=LABELS["title_ko"], max_length=MAX_TITLE)
    title_en = forms.CharField(label=LABELS["title_en"], max_length=MAX_TITLE)
    text_ko = _text("text_ko", lang="ko")
    text_en = _text("text_en", lang="en")
    contact = forms.CharField(
        label=LABELS["contact"],
        max_length=MAX_TITLE,
        required=False,
        help_text=_("Whom to ask: a mail address or a telephone number. Everybody sees it."),
    )


class WhoForm(SectionForm):
    """Who may propose."""

    section = "who"
    sizes = forms.MultipleChoiceField(
        label=LABELS["sizes"],
        choices=Organisation.Size.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None: any."),
    )
    regions = forms.MultipleChoiceField(
        label=LABELS["regions"],
        choices=Organisation.Region.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None: any."),
    )
    most_years = forms.IntegerField(
        label=LABELS["most_years"],
        required=False,
        min_value=1,
        max_value=200,
        help_text=_("Empty: any. On the day of the submission."),
    )
    most_proposals = forms.IntegerField(
        label=LABELS["most_proposals"],
        required=False,
        min_value=1,
        max_value=1_000,
        help_text=_("Empty: any. Drafts and withdrawn proposals do not count."),
    )

    def changes(self) -> dict[str, Any]:
        return {name: tuple(value) if isinstance(value, list) else value for name, value in super().changes().items()}


class PoolsForm(HoursMixin, SectionForm):
    """What is offered, of what budget, and how large an ask may be: two fields a pool."""

    section = "pools"
    HOURS = ("smallest", "largest")
    smallest_gpu_hours = hours_field(LABELS["smallest_gpu_seconds"], help_text=_("Of one proposal. Empty: any."))
    largest_gpu_hours = hours_field(LABELS["largest_gpu_seconds"], help_text=_("Of one proposal. Empty: any."))

    def __init__(self, *args: Any, terms: CallTerms, **kwargs: Any) -> None:
        self.pools = list(Pool.objects.select_related("gpu_class").order_by("name"))
        super().__init__(*args, terms=terms, **kwargs)
        offered = {offer.pool.pk: offer for offer in terms.offers}
        for pool in self.pools:
            offer = offered.get(pool.pk)
            self._add_pool(pool, offer)

    def _add_pool(self, pool: Pool, offer: Offer | None) -> None:
        names = {"pool": pool.name, "gpu_class": pool.gpu_class.name}
        budget = None if offer is None or offer.budget_gpu_seconds is None else offer.budget_gpu_seconds
        closed = self.call.stage not in ("draft", "announced")
        self.fields[f"pool_{pool.public_id}"] = forms.BooleanField(
            label=_("Offer %(pool)s (%(gpu_class)s)") % names,
            required=False,
            initial=offer is not None,
            disabled=closed,
        )
        self.fields[f"budget_{pool.public_id}"] = hours_field(
            _("Budget of %(pool)s, GPU-hours") % names,
            initial=None if budget is None else seconds_to_hours(budget),
            help_text=_("Empty: without a bound. Once the call is published it is only ever raised."),
            disabled=not self.may_change("offers") or (closed and offer is None),
        )

    def changes(self) -> dict[str, Any]:
        data = super().changes()
        if not self.may_change("offers"):
            return data
        self.offered = [pool for pool in self.pools if self.cleaned_data[f"pool_{pool.public_id}"]]
        offers = [Offer(pool, self._budget(pool)) for pool in self.offered]
        return {**data, "offers": tuple(sorted(offers, key=lambda offer: offer.pool.pk))}

    def place(self, field: str, message: str) -> bool:
        parts = field.split(".")
        if parts[0] != "offers":
            return False
        if len(parts) < 3:
            self.add_error(None, message)
        else:
            pool = sorted(self.offered, key=lambda pool: pool.pk)[int(parts[1])]
            self.add_error(f"{'budget' if 'budget' in parts[2] else 'pool'}_{pool.public_id}", message)
        return True

    def _budget(self, pool: Pool) -> int | None:
        hours = self.cleaned_data[f"budget_{pool.public_id}"]
        return None if hours is None else hours_to_seconds(hours)


class LabelledRow(Row):
    """A label with its explanation, in both languages."""

    label_ko = forms.CharField(label=_("In Korean"), max_length=MAX_LABEL)
    label_en = forms.CharField(label=_("In English"), max_length=MAX_LABEL)
    help_ko = forms.CharField(label=_("Explanation in Korean"), max_length=MAX_HELP, required=False)
    help_en = forms.CharField(label=_("Explanation in English"), max_length=MAX_HELP, required=False)


class CriterionRow(LabelledRow):
    """What reviewers score."""

    weight = forms.IntegerField(label=_("Weight"), min_value=1, max_value=100, initial=1)
    scale = forms.IntegerField(label=_("Scale from 0 to"), min_value=1, max_value=100, initial=10)
    comment_needed = forms.BooleanField(label=_("A comment is needed"), required=False)

    def row(self) -> CriterionTerms:
        names = CriterionTerms.__dataclass_fields__
        return CriterionTerms(**{name: self.cleaned_data[name] for name in names})


class QuestionRow(LabelledRow):
    """What is asked beyond the common form."""

    kind = forms.ChoiceField(label=_("Kind of answer"), choices=Question.Kind.choices, initial=Question.Kind.TEXT)
    is_required = forms.BooleanField(label=_("Must be answered"), required=False)
    choices_ko = forms.CharField(
        label=_("Choices in Korean"), required=False, max_length=MAX_TEXT, widget=forms.Textarea(attrs={"rows": 3})
    )
    choices_en = forms.CharField(
        label=_("Choices in English"),
        required=False,
        max_length=MAX_TEXT,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("One a line, in the same order as in Korean. Only where the answer is a choice."),
    )

    def row(self) -> QuestionTerms:
        data = {name: self.cleaned_data[name] for name in QuestionTerms.__dataclass_fields__}
        data |= {name: lines_of(data[name]) for name in ("choices_ko", "choices_en")}
        return QuestionTerms(**data)


class DateRow(LabelledRow):
    """A day of the time line."""

    on = DateField(label=_("Day"))
    field_order: ClassVar[Any] = ["on"]  # type: ignore[misc]

    def row(self) -> DateTerms:
        return DateTerms(**{name: self.cleaned_data[name] for name in DateTerms.__dataclass_fields__})


class CriteriaForm(SectionForm):
    """Criteria with weights and scales."""

    section = rows_name = "criteria"
    rows_class = rows_of(CriterionRow, can_order=True)

    def rows_initial(self, terms: CallTerms) -> list[dict[str, Any]]:
        return [asdict(row) for row in terms.criteria]


class QuestionsForm(SectionForm):
    """Questions of its own."""

    section = rows_name = "questions"
    rows_class = rows_of(QuestionRow, can_order=True)

    def rows_initial(self, terms: CallTerms) -> list[dict[str, Any]]:
        return [
            asdict(row) | {"choices_ko": "\n".join(row.choices_ko), "choices_en": "\n".join(row.choices_en)}
            for row in terms.questions
        ]


class DatesForm(SectionForm):
    """The cut-off, the time to answer, and the time line."""

    section, rows_name = "dates", "dates"
    rows_class = rows_of(DateRow, can_order=False)
    closes_at = MomentField(
        label=LABELS["closes_at"],
        required=False,
        help_text=_("Empty: rolling, proposals are taken at any time. Of an open call it is only ever moved later."),
    )
    answer_days = forms.IntegerField(
        label=LABELS["answer_days"],
        min_value=1,
        max_value=365,
        help_text=_("Within so many days an award is accepted or refused."),
    )

    def rows_initial(self, terms: CallTerms) -> list[dict[str, Any]]:
        return [asdict(row) for row in terms.dates]

    def changes(self) -> dict[str, Any]:
        data = super().changes()
        if "closes_at" in data:
            data["closes_at"] = _same_minute(data["closes_at"], self.terms.closes_at)
        return data


class StepsForm(HoursMixin, SectionForm):
    """Which steps a proposal takes, and how its reviews are done."""

    section = "steps"
    HOURS = ("two_person",)
    reviews_needed = forms.IntegerField(label=LABELS["reviews_needed"], min_value=1, max_value=20)
    blind = forms.BooleanField(
        label=LABELS["blind"],
        required=False,
        help_text=_("Partners are asked to keep names out of their files; files are searched for them, best effort."),
    )
    reviewers_see = forms.ChoiceField(label=LABELS["reviewers_see"], choices=Call.Sees.choices)
    two_person_gpu_hours = hours_field(
        LABELS["two_person_gpu_seconds"],
        help_text=_("Awards of at least so much are decided by two officers. Empty: by one."),
    )

    def __init__(self, *args: Any, terms: CallTerms, **kwargs: Any) -> None:
        super().__init__(*args, terms=terms, **kwargs)
        had = {step.kind: step for step in terms.steps}
        people = list(staff_of_steps())
        for kind in CallStep.Kind.values:
            self._add_step(kind, had.get(kind), people)

    @property
    def groups(self) -> list[tuple[Any, list[forms.BoundField]]]:
        """The fields of each step together, under its name; then what holds for all reviews."""
        grouped = [
            (label, [self[f"{kind}_{each}"] for each in ("on", "owner", "due_at")])
            for kind, label in CallStep.Kind.choices
        ]
        taken = {field.name for _label, fields in grouped for field in fields}
        return [*grouped, (_("Reviews and decisions"), [field for field in self if field.name not in taken])]

    def _add_step(self, kind: str, step: StepTerms | None, people: Iterable[User]) -> None:
        closed = self.call.stage not in ("draft", "announced")
        still = not self.may_change("steps") or (closed and step is None)
        self.fields[f"{kind}_on"] = forms.BooleanField(
            label=_("Proposals take this step"), required=False, initial=step is not None, disabled=closed
        )
        self.fields[f"{kind}_owner"] = forms.TypedChoiceField(
            label=_("Owner of the step"),
            choices=[("", "–"), *((person.public_id, str(person)) for person in people)],
            coerce={person.public_id: person for person in people}.get,
            empty_value=None,
            required=False,
            initial=step.owner.public_id if step and step.owner else "",
            disabled=still,
        )
        self.fields[f"{kind}_due_at"] = MomentField(
            label=_("Deadline"),
            required=False,
            initial=step.due_at if step else None,
            help_text=_("Needed where the call has a cut-off."),
            disabled=still,
        )

    def changes(self) -> dict[str, Any]:
        data, said = super().changes(), self.cleaned_data
        if not self.may_change("steps"):
            return data
        had = {step.kind: step.due_at for step in self.terms.steps}
        steps = (
            StepTerms(kind, said[f"{kind}_owner"], _same_minute(said[f"{kind}_due_at"], had.get(kind)))
            for kind in CallStep.Kind.values
            if said[f"{kind}_on"]
        )
        return data | {"steps": tuple(steps)}

    def place(self, field: str, message: str) -> bool:
        parts = field.split(".")
        if parts[0] != "steps":
            return False
        self.add_error(f"{parts[1]}_{parts[2]}" if len(parts) == 3 else None, message)
        return True


class FastLaneForm(HoursMixin, SectionForm):
    """How small asks are decided, and what is held back of each award."""

    section = "fast_lane"
    HOURS = ("fast_lane",)
    fast_lane = forms.ChoiceField(label=LABELS["fast_lane"], choices=Call.FastLane.choices)
    fast_lane_gpu_hours = hours_field(
        LABELS["fast_lane_gpu_seconds"],
        help_text=_("Proposals that ask for at most so much in all take the fast lane."),
    )
    held_back_percent = forms.IntegerField(
        label=LABELS["held_back_percent"],
        min_value=0,
        max_value=90,
        help_text=_("Of the hours of each award, until a progress report of the project is accepted. 0: nothing."),
    )

    def changes(self) -> dict[str, Any]:
        data = super().changes()
        return data | ({"fast_lane_gpu_seconds": data["fast_lane_gpu_seconds"] or 0} if data else {})


def staff_of_steps() -> Any:
    """Whom a step may belong to: officers, operators and administrators."""
    roles = ("officer", "operator", "administrator")
    return User.objects.filter(is_active=True, role_grants__role__in=roles).distinct().order_by("name", "pk")


SECTION_FORMS: dict[str, type[SectionForm]] = {
    form.section: form
    for form in (
        TextsForm,
        WhoForm,
        PoolsForm,
        CriteriaForm,
        QuestionsForm,
        StepsForm,
        DatesForm,
        FastLaneForm,
    )
}
