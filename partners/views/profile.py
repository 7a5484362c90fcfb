"""An organisation's profile: who holds it, to whom it is related, whom to reach, how it is divided."""

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.rules import may_run_programme
from common.form_pages import ObjectFormPage
from common.gates import ObjectGate
from common.permissions import allowed
from common.web import ObjectPage, VerbView
from partners.forms.profile import ContactForm, DepartmentForm, RelationForm, ShareholderForm
from partners.models import Contact, Department, Organisation, Relation, Shareholder
from partners.rules import may_manage
from partners.selectors.profile import relations_of, shareholders_of
from partners.services import contacts, related

MANAGED = may_manage | may_run_programme


class OrganisationProfile(ObjectPage):
    model = Organisation
    object_name = "organisation"
    template_name = "partners/profile.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        organisation, user = self.object, self.request.user
        return super().get_context_data(
            shareholders=shareholders_of(organisation),
            relations=relations_of(organisation),
            contacts=organisation.contacts.all(),
            departments=organisation.departments.all(),
            runs=may_run_programme.test(user, None),
            may_manage=allowed(user, MANAGED, organisation),
            **kwargs,
        )


class _New(ObjectGate, ObjectFormPage):
    """Under the organisation's address."""

    model = Organisation
    object_name = "organisation"
    gate: Any = may_run_programme
    submit_label = _("Save")

    def cancel_url(self) -> str:
        return reverse("partners:organisation-profile", args=[self.object.public_id])


class _Edit(ObjectGate, ObjectFormPage):
    gate: Any = may_run_programme
    submit_label = _("Save")
    fields: tuple[str, ...] = ()

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("organisation")

    def gate_object(self, obj: Any) -> Any:
        return obj.organisation

    def get_initial(self) -> dict[str, Any]:
        return {name: getattr(self.object, name) for name in self.fields}


class _Remove(VerbView):
    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("organisation")


class ShareholderNew(_New):
    form_class = ShareholderForm
    title = _("Add a shareholder")
    success_message = _("The shareholder is saved.")

    def perform(self, form: Any) -> Shareholder:
        return related.set_shareholder(actor=self.request.user, organisation=self.object, **form.cleaned_data)


class ShareholderEdit(_Edit):
    model = Shareholder
    form_class = ShareholderForm
    fields = ("name", "percent", "registration_number")
    title = _("Change the shareholder")
    success_message = _("The shareholder is saved.")

    def perform(self, form: Any) -> Shareholder:
        row: Shareholder = self.object
        return related.set_shareholder(
            actor=self.request.user, organisation=row.organisation, shareholder=row, **form.cleaned_data
        )


class ShareholderRemove(_Remove):
    model = Shareholder
    success_message = _("The shareholder is removed.")

    def perform(self) -> None:
        related.remove_shareholder(actor=self.request.user, shareholder=self.object)


class RelationNew(_New):
    form_class = RelationForm
    title = _("Add a related organisation")
    success_message = _("The relation is saved.")

    def perform(self, form: Any) -> str:
        related.add_relation(actor=self.request.user, organisation=self.object, **form.cleaned_data)
        return self.cancel_url()


class RelationRemove(_Remove):
    model = Relation
    success_message = _("The relation is removed.")

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("other")

    def perform(self) -> None:
        related.remove_relation(actor=self.request.user, relation=self.object)


class ContactNew(_New):
    gate = MANAGED
    form_class = ContactForm
    title = _("Add a contact")
    success_message = _("The contact is saved.")

    def perform(self, form: Any) -> Contact:
        return contacts.set_contact(actor=self.request.user, organisation=self.object, **form.cleaned_data)


class ContactEdit(_Edit):
    model = Contact
    gate = MANAGED
    form_class = ContactForm
    fields = ("name", "about", "position", "email", "phone")
    title = _("Change the contact")
    success_message = _("The contact is saved.")

    def perform(self, form: Any) -> Contact:
        row: Contact = self.object
        return contacts.set_contact(
            actor=self.request.user, organisation=row.organisation, contact=row, **form.cleaned_data
        )


class ContactRemove(_Remove):
    model = Contact
    success_message = _("The contact is removed.")

    def perform(self) -> None:
        contacts.remove_contact(actor=self.request.user, contact=self.object)


class DepartmentNew(_New):
    gate = MANAGED
    form_class = DepartmentForm
    title = _("Add a department")
    success_message = _("The department is saved.")

    def perform(self, form: Any) -> Department:
        return contacts.set_department(actor=self.request.user, organisation=self.object, **form.cleaned_data)


class DepartmentEdit(_Edit):
    model = Department
    gate = MANAGED
    form_class = DepartmentForm
    fields = ("name_ko", "name_en")
    title = _("Rename the department")
    success_message = _("The department is saved.")

    def perform(self, form: Any) -> Department:
        row: Department = self.object
        return contacts.set_department(
            actor=self.request.user, organisation=row.organisation, department=row, **form.cleaned_data
        )


class DepartmentRemove(_Remove):
    model = Department
    success_message = _("The department is removed. Its members stay.")

    def perform(self) -> None:
        contacts.remove_department(actor=self.request.user, department=self.object)
