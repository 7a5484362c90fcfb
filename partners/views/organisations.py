"""Pages about organisations and their people."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.rules import may_run_programme
from common.form_pages import FormPage, ObjectFormPage
from common.gates import Gate, ObjectGate
from common.tables import Column
from common.web import ListPage, ObjectPage, VerbView
from partners.filters import OrganisationFilter
from partners.forms import InviteForm, OrganisationForm, TransferForm
from partners.models import Invitation, Membership, Organisation
from partners.rules import MANAGING, is_owner_of, may_manage, role_in
from partners.selectors import open_invitations, people_of, with_counts
from partners.services import contacts, invitations, members
from partners.services.organisations import edit_organisation, register_organisation
from partners.views.editing import on_the_newest


class OrganisationList(ListPage):
    model = Organisation
    filterset_class = OrganisationFilter
    default_order = "name_ko"
    title = _("Organisations")
    empty_text = _("No organisation yet. An officer registers the first one.")
    export_name = "organisations"
    create_url_name = "partners:organisation-new"
    create_label = _("Register an organisation")
    columns = (
        Column("name", _("Name"), lambda o: o.name, link=lambda o: o.get_absolute_url(), sort="name_ko"),
        Column("number", _("Registration number"), lambda o: o.shown_registration_number, sort="registration_number"),
        Column("kind", _("Kind"), lambda o: o.get_kind_display(), sort="kind"),
        Column("size", _("Company size"), lambda o: o.get_size_display(), sort="size"),
        Column("region", _("Region"), lambda o: o.get_region_display(), sort="region"),
        Column("founded", _("Founded on"), lambda o: str(o.founded_on or ""), sort="founded_on"),
        Column("people", _("People"), lambda o: o.people_count, sort="people_count", numeric=True),
        Column(
            "agreements",
            _("Active agreements"),
            lambda o: o.active_agreement_count,
            sort="active_agreement_count",
            numeric=True,
        ),
    )

    def get_queryset(self) -> Any:
        return with_counts(super().get_queryset())

    def may_create(self) -> bool:
        return may_run_programme.test(self.request.user, None)


class OrganisationPage(ObjectPage):
    model = Organisation
    object_name = "organisation"
    template_name = "partners/organisation.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user, organisation = self.request.user, self.object
        role = role_in(user, organisation)
        runs = may_run_programme.test(user, None)
        manages = role in MANAGING or runs
        return super().get_context_data(
            people=people_of(organisation),
            invitations=open_invitations(organisation) if manages or user.is_agency else [],  # type: ignore[union-attr]
            agreements=organisation.agreements.all(),
            projects=organisation.projects.all()[:50],
            roles=Membership.Role.choices,
            own_role=role,
            may_manage=manages,
            may_own=role == "owner" or runs,
            may_transfer=role == "owner",
            may_register_agreement=runs,
            may_edit=runs,
            departments=organisation.departments.all() if manages else [],
            **kwargs,
        )


class OrganisationNew(Gate, FormPage):
    gate = may_run_programme
    form_class = OrganisationForm
    title = _("Register an organisation")
    intro = _("After this, register its agreement and invite its owner.")
    submit_label = _("Register")
    success_message = _("The organisation is registered. Invite its owner now.")

    def cancel_url(self) -> str:
        return reverse("partners:organisations")

    def perform(self, form: Any) -> Organisation:
        return register_organisation(actor=self.request.user, **form.facts())


class OrganisationEdit(ObjectGate, ObjectFormPage):
    model = Organisation
    object_name = "organisation"
    gate = may_run_programme
    form_class = OrganisationForm
    title = _("Change the organisation")
    intro = _("What was signed keeps the name and the number that stand in the document.")
    submit_label = _("Save")
    success_message = _("The organisation is saved.")

    def get_initial(self) -> dict[str, Any]:
        return {
            "name_ko": self.object.name_ko,
            "name_en": self.object.name_en,
            "registration_number": self.object.shown_registration_number,
            **{name: getattr(self.object, name) for name in ("size", "region", "founded_on", "revision")},
        }

    def form_invalid(self, form: Any) -> HttpResponse:
        return super().form_invalid(on_the_newest(form, self.object))

    def perform(self, form: Any) -> Organisation:
        return edit_organisation(
            actor=self.request.user,
            organisation=self.object,
            revision=form.cleaned_data["revision"],
            **form.facts(),
        )


class MemberInvite(ObjectGate, ObjectFormPage):
    model = Organisation
    object_name = "organisation"
    gate = may_manage | may_run_programme
    form_class = InviteForm
    title = _("Invite somebody")
    intro = _("They get a mail with a link that works for seven days.")
    submit_label = _("Send the invitation")
    success_message = _("The invitation is on its way.")

    def perform(self, form: Any) -> Organisation:
        invitations.invite(actor=self.request.user, organisation=self.object, **form.cleaned_data)
        return self.object


class OwnershipTransfer(ObjectGate, ObjectFormPage):
    model = Organisation
    object_name = "organisation"
    gate = is_owner_of
    form_class = TransferForm
    title = _("Hand the ownership over")
    intro = _("The member you choose becomes an owner, and you become a manager.")
    submit_label = _("Hand over")
    danger = True
    success_message = _("The ownership is handed over.")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "organisation": self.object, "user": self.request.user}

    def perform(self, form: Any) -> Organisation:
        return members.transfer_ownership(
            actor=self.request.user, organisation=self.object, to=form.cleaned_data["member"]
        )


class _MemberVerb(VerbView):
    model = Organisation

    def membership(self) -> Membership:
        """The member of the URL, of this organisation only."""
        return get_object_or_404(
            self.object.memberships.select_related("user", "organisation"), user__public_id=self.kwargs["user_id"]
        )


class MemberRole(_MemberVerb):
    success_message = _("The role is changed.")

    def perform(self) -> None:
        role = self.request.POST.get("role", "")
        members.change_role(actor=self.request.user, membership=self.membership(), role=role)


class MemberDepartment(_MemberVerb):
    success_message = _("The department is changed.")

    def perform(self) -> None:
        wanted = self.request.POST.get("department", "")
        department = contacts.department_of(self.object, wanted)
        contacts.move_member(actor=self.request.user, membership=self.membership(), department=department)


class MemberRemove(_MemberVerb):
    success_message: Any = _("The person no longer belongs to the organisation.")

    def perform(self) -> Any:
        membership = self.membership()
        members.remove_member(actor=self.request.user, membership=membership)
        if membership.user_id != self.request.user.pk:
            return None
        name = self.object.name
        self.success_message = gettext("You no longer belong to %(organisation)s.") % {"organisation": name}
        return reverse("home")


class _InvitationVerb(VerbView):
    model = Organisation

    def invitation(self) -> Invitation:
        """The invitation of the URL, of this organisation only."""
        return get_object_or_404(
            self.object.invitations.select_related("organisation"), public_id=self.kwargs["invitation_id"]
        )


class InvitationRevoke(_InvitationVerb):
    success_message = _("The invitation is revoked.")

    def perform(self) -> None:
        invitations.revoke(actor=self.request.user, invitation=self.invitation())


class InvitationResend(_InvitationVerb):
    success_message = _("A new link is on its way; the old one no longer works.")

    def perform(self) -> None:
        invitations.resend(actor=self.request.user, invitation=self.invitation())
