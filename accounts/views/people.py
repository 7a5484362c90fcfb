"""Who works for the agency, and in which role. Administrators only; for everybody else the pages do not exist."""

from typing import Any

from django.db.models import QuerySet
from django.forms import BaseForm
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts import services
from accounts.filters import PeopleFilter
from accounts.forms import RoleGrantForm, RoleRevokeForm
from accounts.models import AgencyRole, User
from accounts.rules import is_administrator
from accounts.selectors import agency_people
from common.form_pages import FormPage, ObjectFormPage
from common.gates import Gate
from common.tables import Column
from common.templatetags.bitgoeul import moment
from common.web import ListPage


def role_names(person: Any) -> str:
    """The roles of a row of agency_people() in the reader's language."""
    return ", ".join(str(AgencyRole(role).label) for role in person.role_list.split(","))


class PeopleList(Gate, ListPage):
    """People of the agency and their roles."""

    gate = is_administrator
    model = User
    filterset_class = PeopleFilter
    default_order = "name"
    title = _("People of the agency")
    empty_text = _("Nobody holds a role yet.")
    export_name = "people"
    create_url_name = "accounts:role-grant"
    create_label = _("Grant a role")
    columns = (
        Column("name", _("Name"), lambda u: u.name, sort="name"),
        Column("email", _("E-mail address"), lambda u: u.email, sort="email"),
        Column("roles", _("Roles"), role_names),
        Column(
            "second_factor", _("Second factor"), lambda u: _("on") if u.has_totp else _("not set up"), sort="has_totp"
        ),
        Column(
            "last_login",
            _("Last sign-in"),
            lambda u: u.last_login,
            cell=lambda u: moment(u.last_login),
            sort="last_login",
        ),
        Column(
            "revoke",
            _("Change"),
            lambda u: "",
            cell=lambda u: _("Take a role away"),
            link=lambda u: reverse("accounts:role-revoke", args=[u.public_id]),
        ),
    )

    def get_queryset(self) -> QuerySet[User]:
        return agency_people()


class RoleGrantPage(Gate, FormPage):
    """Give an account a role."""

    gate = is_administrator
    form_class = RoleGrantForm
    title = _("Grant a role")
    intro = _("The person must have an account already, and sets up a second factor before doing anything else.")
    submit_label = _("Grant")
    success_message = _("The role is granted.")

    def cancel_url(self) -> str:
        return reverse("accounts:people")

    def perform(self, form: BaseForm) -> str:
        ask = form.cleaned_data
        services.grant_agency_role(actor=self.request.user, user=ask["email"], role=ask["role"])
        return reverse("accounts:people")


class RoleRevokePage(Gate, ObjectFormPage):
    """Take one role of one person away."""

    gate = is_administrator
    model = User
    object_name = "person"
    form_class = RoleRevokeForm
    title = _("Take a role away")
    submit_label = _("Take away")
    danger = True
    success_message = _("The role is taken away.")

    def get_queryset(self) -> QuerySet[User]:
        return agency_people()

    def cancel_url(self) -> str:
        return reverse("accounts:people")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "person": self.object}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        intro = _("%(name)s (%(email)s)") % {"name": self.object.name, "email": self.object.email}
        return super().get_context_data(object=None, intro=intro, **kwargs)

    def perform(self, form: BaseForm) -> str:
        services.revoke_agency_role(actor=self.request.user, user=self.object, role=form.cleaned_data["role"])
        return reverse("accounts:people" if self.request.user != self.object else "home")
