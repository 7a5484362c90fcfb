"""Shapes of the forms about projects."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from common.forms import Form
from partners.forms import DateField
from partners.models import Membership
from projects.models import Project
from projects.selectors import candidates
from projects.services.progress import MAX_ACHIEVED, MAX_OTHER, Progress


class TeamForm(Form):
    """Who joins the team."""

    member = forms.ModelChoiceField(
        label=_("Member of the organisation"), queryset=Membership.objects.none(), empty_label=_("Choose a member")
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["member"]
        field.queryset = candidates(project)
        field.label_from_instance = lambda row: f"{row.user} ({row.get_role_display()})"


class ProgressForm(Form):
    """A progress report."""

    period_from = DateField(label=_("From"))
    period_until = DateField(label=_("Until"), help_text=_("The last day counts."))
    achieved = forms.CharField(
        label=_("What was done"), max_length=MAX_ACHIEVED, widget=forms.Textarea(attrs={"rows": 8})
    )
    difficulties = forms.CharField(
        label=_("Difficulties"), max_length=MAX_OTHER, required=False, widget=forms.Textarea(attrs={"rows": 4})
    )
    next_steps = forms.CharField(
        label=_("Next steps"), max_length=MAX_OTHER, required=False, widget=forms.Textarea(attrs={"rows": 4})
    )

    def content(self) -> Progress:
        """The cleaned form as what the service takes."""
        return Progress(**self.cleaned_data)
