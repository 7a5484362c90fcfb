"""What the verbs on a reservation ask."""

from datetime import datetime
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import SshKey
from allocations.forms.moments import MomentField
from allocations.models import Lease
from common.forms import Form


class ExtendForm(Form):
    """The new end."""

    ends_at = MomentField(label=_("New end"))

    def __init__(self, *args: Any, lease: Lease, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lease = lease

    def clean_ends_at(self) -> datetime:
        """Later than the present end."""
        moment: datetime = self.cleaned_data["ends_at"]
        if moment <= self.lease.ends_at:
            raise forms.ValidationError(_("The new end must be later than the present one."))
        return moment


class ConfirmForm(Form):
    """Nothing to fill in: a button that means it."""


class CertificateForm(Form):
    """Which of one's own keys."""

    key = forms.ModelChoiceField(
        label=_("SSH key"), queryset=SshKey.objects.none(), to_field_name="public_id", empty_label=None
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["key"].queryset = SshKey.objects.visible_to(user)  # type: ignore[attr-defined]
