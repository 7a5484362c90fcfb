"""Contacts and departments: kept by the organisation's own managers, and by officers."""

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.rules import may_run_programme
from audit.services import record
from common.errors import RuleBroken
from common.permissions import require
from common.texts import one_line
from partners.models import Contact, Department, Membership, Organisation
from partners.rules import may_manage

MOST = 100


@transaction.atomic
def set_contact(
    *,
    actor: Any,
    organisation: Organisation,
    name: str,
    about: str,
    position: str = "",
    email: str = "",
    phone: str = "",
    contact: Contact | None = None,
) -> Contact:
    """Write a contact down, or put one (`contact`) right. Forbidden; RuleBroken without a way to reach them."""
    _require(actor, organisation)
    if contact is None and organisation.contacts.count() >= MOST:
        raise RuleBroken(_("A hundred contacts are written down already."), code="too_many")
    if about not in Contact.About.values:
        raise RuleBroken(_("This is not one of the choices."), code="unknown_about", field="about")
    name = one_line(name)
    if not name:
        raise RuleBroken(_("A contact has a name."), code="name_missing", field="name")
    if not email.strip() and not phone.strip():
        raise RuleBroken(_("A contact has an e-mail address or a telephone number."), code="unreachable", field="email")
    row = contact or Contact(organisation=organisation)
    row.name, row.position = name, one_line(position)
    row.email, row.phone, row.about = email.strip().lower(), phone.strip(), about
    row.save()
    verb = "organisation.edit_contact" if contact else "organisation.add_contact"
    changes = {"contact": row.public_id, "name": row.name, "for": about}
    record(actor=actor, verb=verb, target=organisation, changes=changes)
    return row


@transaction.atomic
def remove_contact(*, actor: Any, contact: Contact) -> Organisation:
    """They are no contact any more. Forbidden."""
    organisation = contact.organisation
    _require(actor, organisation)
    changes = {"contact": contact.public_id, "name": contact.name}
    contact.delete()
    record(actor=actor, verb="organisation.remove_contact", target=organisation, changes=changes)
    return organisation


@transaction.atomic
def set_department(
    *, actor: Any, organisation: Organisation, name_ko: str, name_en: str = "", department: Department | None = None
) -> Department:
    """Add a department, or rename one (`department`). Forbidden; RuleBroken for a name that is taken."""
    _require(actor, organisation)
    Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)
    name = one_line(name_ko)
    others = organisation.departments.exclude(pk=department.pk if department else 0)
    if department is None and others.count() >= MOST:
        raise RuleBroken(_("A hundred departments are written down already."), code="too_many")
    if not name:
        raise RuleBroken(_("A department has a name."), code="name_missing", field="name_ko")
    if others.filter(name_ko=name).exists():
        raise RuleBroken(_("A department of this name is there already."), code="duplicate", field="name_ko")
    row = department or Department(organisation=organisation)
    row.name_ko, row.name_en = name, one_line(name_en)
    row.save()
    verb = "organisation.edit_department" if department else "organisation.add_department"
    changes = {"department": row.public_id, "name_ko": row.name_ko, "name_en": row.name_en}
    record(actor=actor, verb=verb, target=organisation, changes=changes)
    return row


@transaction.atomic
def remove_department(*, actor: Any, department: Department) -> Organisation:
    """It is there no more; its members stay, without a department. Forbidden."""
    organisation = department.organisation
    _require(actor, organisation)
    changes = {"department": department.public_id, "name_ko": department.name_ko}
    department.delete()
    record(actor=actor, verb="organisation.remove_department", target=organisation, changes=changes)
    return organisation


def department_of(organisation: Organisation, public_id: str) -> Department | None:
    """The department of this organisation with that id, None for ""; RuleBroken where there is none such."""
    if not public_id:
        return None
    for row in organisation.departments.all():  # compared here: what was typed need not be fit for a query
        if row.public_id == public_id:
            return row
    raise RuleBroken(_("This department belongs to another organisation."), code="other_department", field="department")


@transaction.atomic
def move_member(*, actor: Any, membership: Membership, department: Department | None) -> Membership:
    """Put a member into a department of the same organisation, or into none. Forbidden; RuleBroken."""
    organisation = membership.organisation
    _require(actor, organisation)
    if department is not None and department.organisation_id != organisation.pk:
        raise RuleBroken(_("This department belongs to another organisation."), code="other_department")
    membership = (
        Membership.objects.select_for_update(of=("self",), no_key=True).select_related("user").get(pk=membership.pk)
    )
    if membership.department_id == (department.pk if department else None):
        return membership
    membership.department = department
    membership.save(update_fields=["department"])
    changes = {"user": membership.user.public_id, "department": department.public_id if department else ""}
    record(actor=actor, verb="member.move", target=organisation, changes=changes)
    return membership


def _require(actor: Any, organisation: Organisation) -> None:
    require(actor, may_manage | may_run_programme, organisation)
