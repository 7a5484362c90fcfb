"""The forms of decisions that are prepared, and of letters."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from common.forms import Form
from proposals.models import LetterTemplate, PreparedDecision, Proposal


class PrepareForm(Form):
    """What is going to be decided, and why."""

    kind = forms.ChoiceField(
        label=_("Decision"),
        choices=PreparedDecision.Kind.choices,
        help_text=_("The lines above count for an award only."),
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=4_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("Needed unless all is awarded that was asked for. The partner reads it in the letter."),
    )
    override_reason = forms.CharField(
        label=_("Pass the pool's bound, because"),
        max_length=1_000,
        required=False,
        help_text=_(
            "Leave it empty. Only where this award must promise more of a pool than its bound allows: a second officer "
            "has to approve it then, and the reason is kept."
        ),
    )


class DeclineManyForm(Form):
    """Which proposals, and the one reason for all of them."""

    proposals = forms.MultipleChoiceField(label=_("Proposals"), widget=forms.CheckboxSelectMultiple)
    reason = forms.CharField(
        label=_("Reason"),
        max_length=4_000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("Each partner reads it in the letter."),
    )

    def __init__(self, *args: Any, waiting: list[Proposal], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["proposals"]
        field.choices = [(row.public_id, f"{row.number} · {row.title} · {row.organisation.name}") for row in waiting]


class LetterTextForm(forms.ModelForm):
    """Subject and text of a letter in both languages."""

    class Meta:
        model = LetterTemplate
        fields = ("subject_ko", "body_ko", "subject_en", "body_en")
        widgets = {
            "body_ko": forms.Textarea(attrs={"rows": 14, "lang": "ko"}),
            "body_en": forms.Textarea(attrs={"rows": 14, "lang": "en"}),
        }
