"""The forms of steps, reviewers and reviews."""

from datetime import date
from typing import Any

from django import forms
from django.utils.dateparse import parse_date
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from cluster.models import Pool
from common.forms import Form
from proposals.models import CallStep, Criterion, Proposal, ProposalStep
from proposals.services.declaring import MAX_WORDS
from proposals.services.reviewers import MAX_LOAD, Expertise, ProfileContent
from proposals.services.reviewing import MAX_COMMENT, MAX_SCORE_COMMENT, ReviewContent

VERDICTS = (
    ("pass", pgettext_lazy("verdict", "passes")),
    ("return", pgettext_lazy("verdict", "goes back to be changed")),
    ("fail", pgettext_lazy("verdict", "does not pass")),
)


class VerdictForm(Form):
    """How a step ends; of the technical check also where the work can run."""

    verdict = forms.ChoiceField(label=_("Verdict"), choices=VERDICTS, widget=forms.RadioSelect)
    pool = forms.ModelChoiceField(
        label=_("Pool in which it can run"),
        queryset=Pool.objects.none(),
        to_field_name="public_id",
        required=False,
        empty_label=_("Choose"),
        help_text=_("Its GPU class is recorded as the one that suits the work."),
    )
    note = forms.CharField(
        label=_("Reason"), max_length=4_000, required=False, widget=forms.Textarea(attrs={"rows": 5})
    )

    def __init__(self, *args: Any, step: ProposalStep, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        pool: Any = self.fields["pool"]
        if step.kind == CallStep.Kind.TECHNICAL:
            pool.queryset = Pool.objects.select_related("gpu_class").order_by("name")
        else:
            del self.fields["pool"]
        if step.kind == CallStep.Kind.PANEL:
            self.fields["note"].label = _("What the panel found")
            self.fields["note"].required = True
        else:
            self.fields["note"].help_text = _("Needed unless it passes. Where it goes back, the partner reads it.")


class DeclareForm(Form):
    """Before a proposal opens."""

    conflict = forms.TypedChoiceField(
        label=_("Does anything stand between you and a fair judgement?"),
        choices=(("no", _("No, I have no conflict of interest.")), ("yes", _("Yes, there is a conflict of interest."))),
        coerce=lambda value: value == "yes",
        widget=forms.RadioSelect,
    )
    words = forms.CharField(
        label=_("The conflict, in a few words"),
        max_length=MAX_WORDS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Needed where there is one. Only the agency reads it."),
    )


class ReviewForm(Form):
    """Points and a comment a criterion, and two texts. Nothing is required of a draft."""

    revision = forms.IntegerField(min_value=0, max_value=2_000_000_000, widget=forms.HiddenInput)
    comment = forms.CharField(
        label=_("Comment for the agency"),
        max_length=MAX_COMMENT,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    partner_comment = forms.CharField(
        label=_("Comment for the partner"),
        max_length=MAX_COMMENT,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("The partner reads it after the decision, without your name."),
    )

    def __init__(self, *args: Any, criteria: list[Criterion], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.criteria = criteria
        own: dict[str, forms.Field] = {}
        for row in criteria:
            own[f"points_{row.place}"] = forms.IntegerField(
                label=row.label,
                min_value=0,
                max_value=row.scale,
                required=False,
                help_text=gettext("%(help)s 0 to %(scale)s points, weight %(weight)s.")
                % {"help": row.help, "scale": row.scale, "weight": row.weight},
            )
            needed = gettext("Comment (needed)") if row.comment_needed else gettext("Comment")
            own[f"comment_{row.place}"] = forms.CharField(
                label=needed, max_length=MAX_SCORE_COMMENT, required=False, widget=forms.Textarea(attrs={"rows": 2})
            )
        self.fields = {**own, **self.fields}

    def content(self) -> ReviewContent:
        """The cleaned form as what the service takes."""
        data = self.cleaned_data
        places = [row.place for row in self.criteria]
        return ReviewContent(
            points={place: data.get(f"points_{place}") for place in places},
            comments={place: data.get(f"comment_{place}", "") for place in places},
            comment=data["comment"],
            partner_comment=data["partner_comment"],
        )


def review_initial(content: ReviewContent, revision: int) -> dict[str, Any]:
    """What is stored as the form's initial values."""
    return {
        "revision": revision,
        "comment": content.comment,
        "partner_comment": content.partner_comment,
        **{f"points_{place}": points for place, points in content.points.items()},
        **{f"comment_{place}": text for place, text in content.comments.items()},
    }


class _ExpertiseForm(Form):
    purposes = forms.MultipleChoiceField(
        label=_("Kinds of work"),
        choices=Proposal.Purpose.choices,
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    topics = forms.CharField(
        label=_("Topics"),
        max_length=1_500,
        required=False,
        help_text=_("Words, separated by commas, that are looked for in titles and plans: LLM, speech, radiology."),
    )
    load_limit = forms.IntegerField(label=_("Most reviews at a time"), min_value=0, max_value=MAX_LOAD, initial=10)

    def expertise(self) -> Expertise:
        """The cleaned fields as what the service takes."""
        data = self.cleaned_data
        topics = tuple(topic.strip() for topic in data["topics"].split(",") if topic.strip())
        return Expertise(tuple(data["purposes"]), topics, data["load_limit"])


class InviteReviewerForm(_ExpertiseForm):
    """Who is asked to join the pool."""

    field_order = ("email", "purposes", "topics", "load_limit")
    email = forms.EmailField(label=_("E-mail address"), max_length=254)


class ProfileForm(_ExpertiseForm):
    """A reviewer's profile, with the revision that it was opened on."""

    field_order = ("affiliation", "purposes", "topics", "load_limit", "is_available", "employers", "revision")
    affiliation = forms.CharField(label=_("Affiliation"), max_length=120, required=False)
    is_available = forms.BooleanField(label=_("Can be asked to review now"), required=False)
    employers = forms.CharField(
        label=_("Former employers"),
        max_length=4_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("One a line: the name, a comma, the last day there, like “Company, 2025-03-31”."),
    )
    revision = forms.IntegerField(min_value=0, max_value=2_000_000_000, widget=forms.HiddenInput)

    def clean_employers(self) -> tuple[tuple[str, date], ...]:
        """Lines as (name, last day)."""
        found = []
        for line in self.cleaned_data["employers"].splitlines():
            if not line.strip():
                continue
            name, _comma, day = line.rpartition(",")
            try:
                until = parse_date(day.strip())
            except ValueError:
                until = None
            if not name.strip() or until is None:
                raise forms.ValidationError(
                    _("This line is not a name, a comma and a day like 2025-03-31: %(line)s"), params={"line": line}
                )
            found.append((name.strip(), until))
        return tuple(found)

    def content(self) -> ProfileContent:
        """The cleaned form as what the service takes."""
        data = self.cleaned_data
        return ProfileContent(self.expertise(), data["affiliation"], data["is_available"], data["employers"])


class ReviewerField(forms.ModelChoiceField):
    """A person of the pool of reviewers."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            label=_("Reviewer"),
            queryset=User.objects.none(),
            to_field_name="public_id",
            empty_label=_("Choose"),
            **kwargs,
        )


class AssignForm(Form):
    """One more reviewer for a proposal, by hand."""

    reviewer = ReviewerField()

    def __init__(self, *args: Any, people: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["reviewer"]
        field.queryset = people
        if not people.exists():
            field.help_text = _("The pool of reviewers is empty: invite somebody under “Reviewers” first.")


class WaiveForm(AssignForm):
    """A conflict of interest that an officer sets aside."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=MAX_WORDS,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("It stays in the audit log beside your name."),
    )
