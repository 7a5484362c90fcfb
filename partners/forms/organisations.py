"""The forms of an organisation."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from common.forms import Form
from partners.forms.fields import DateField
from partners.models import Membership, Organisation, check_registration_number


class OrganisationForm(Form):
    """What an organisation is called and registered as."""

    name_ko = forms.CharField(label=_("Name in Korean"), max_length=120)
    name_en = forms.CharField(label=_("Name in English"), max_length=120)
    registration_number = forms.CharField(
        label=_("Business registration number"),
        max_length=20,
        validators=[check_registration_number],
        help_text=_("Ten digits, like 123-45-67891. The last one is a check digit."),
    )
    size = forms.ChoiceField(label=_("Company size"), required=False)
    region = forms.ChoiceField(label=_("Region"), required=False)
    founded_on = DateField(label=_("Founded on"), required=False)
    revision = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, choices in (("size", Organisation.Size.choices), ("region", Organisation.Region.choices)):
            field: Any = self.fields[name]
            field.choices = [("", _("not known")), *choices]

    def facts(self) -> dict[str, Any]:
        """The cleaned form without the mark of which saving it stands on."""
        return {name: value for name, value in self.cleaned_data.items() if name != "revision"}


class InviteForm(Form):
    """Whom to invite, as what."""

    email = forms.EmailField(label=_("E-mail address"), max_length=254)
    role = forms.ChoiceField(
        label=_("Role"),
        choices=Membership.Role.choices,
        initial=Membership.Role.MEMBER,
        help_text=_(
            "Owners and managers propose and invite, members book and use GPUs, viewers see figures. Only owners make "
            "owners."
        ),
    )


class TransferForm(Form):
    """Who owns the organisation from now on."""

    member = forms.ModelChoiceField(
        label=_("New owner"), queryset=Membership.objects.none(), to_field_name="pk", empty_label=_("Choose a member")
    )

    def __init__(self, *args: Any, organisation: Organisation, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["member"]
        field.queryset = organisation.memberships.exclude(user_id=user.pk).select_related("user")
        field.label_from_instance = lambda row: f"{row.user} ({row.get_role_display()})"
