"""Shapes of the forms about projects."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from partners.models import Membership
from projects.models import Project
from projects.selectors import candidates


class TeamForm(forms.Form):
    """Who joins the team."""

    member = forms.ModelChoiceField(
        label=_("Member of the organisation"), queryset=Membership.objects.none(), empty_label=_("Choose a member")
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["member"]
        field.queryset = candidates(project)
        field.label_from_instance = lambda row: f"{row.user} ({row.get_role_display()})"
