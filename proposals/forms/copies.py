"""The form that copies a proposal into another call."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from common.forms import Form
from partners.models import Agreement
from partners.selectors import managed_agreements
from proposals.forms.calls import CallField
from proposals.models import Call, Proposal
from proposals.selectors import open_calls


class CopyForm(Form):
    """Into which open call, under which agreement."""

    call = CallField()
    agreement = forms.ModelChoiceField(
        label=_("Agreement"), queryset=Agreement.objects.none(), to_field_name="public_id", empty_label=None
    )

    def __init__(self, *args: Any, user: Any, proposal: Proposal, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        calls: Any = self.fields["call"]
        calls.queryset = open_calls(Call.objects.visible_to(user)).order_by("-published_at")
        agreements: Any = self.fields["agreement"]
        agreements.queryset = managed_agreements(user).filter(organisation=proposal.organisation_id)
        agreements.label_from_instance = lambda row: f"{row.number} · {row.title}"


def next_call(proposal: Proposal) -> Call | None:
    """The open call that follows the proposal's own, if there is one."""
    return open_calls(proposal.call.following.all()).order_by("-published_at").first()
