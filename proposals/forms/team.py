"""The form of a proposal's team."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from common.forms import Form
from proposals.asks import MAX_TEAM, TeamRow
from proposals.models import ProposalMember
from proposals.services.parts import MOST_IN_TEAM


class TeamForm(Form):
    """One person. All fields empty: nobody."""

    name = forms.CharField(
        label=_("Name"), max_length=MOST_IN_TEAM["name"], widget=forms.TextInput(attrs={"dir": "auto"})
    )
    email = forms.EmailField(label=_("E-mail"), required=False, max_length=254)
    part = forms.CharField(
        label=_("Part in the project"),
        max_length=MOST_IN_TEAM["part"],
        widget=forms.TextInput(attrs={"dir": "auto"}),
    )
    experience = forms.CharField(
        label=_("Experience with GPUs"),
        max_length=MOST_IN_TEAM["experience"],
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "dir": "auto"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.empty_permitted = True  # wherever it stands: an empty row is nobody

    @property
    def row(self) -> TeamRow | None:
        """The person, where somebody was filled in and is in order."""
        return TeamRow(**self.cleaned_data) if self.is_bound and self.has_changed() and not self.errors else None


TEAM_FIELDS = tuple(TeamForm.base_fields)
TeamFormSet = forms.formset_factory(TeamForm, extra=0, max_num=MAX_TEAM, validate_max=True, absolute_max=MAX_TEAM + 1)


def team_forms(**kwargs: Any) -> Any:
    """The formset."""
    return TeamFormSet(prefix="team", **kwargs)


def initial_team(rows: Iterable[ProposalMember]) -> list[dict[str, Any]]:
    """Rows as the formset's initial values."""
    return [{name: getattr(row, name) for name in TEAM_FIELDS} for row in rows]
