"""Registering organisations and keeping them right."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.rules import may_run_programme
from audit.services import record
from common.errors import RuleBroken
from common.permissions import require
from partners.models import Organisation, check_registration_number


@transaction.atomic
def register_organisation(
    *, actor: Any, name_ko: str, name_en: str, registration_number: str, kind: str = Organisation.Kind.PARTNER
) -> Organisation:
    """Register an organisation. Forbidden; RuleBroken for a bad or known business registration number."""
    require(actor, may_run_programme)
    number = clean_registration_number(registration_number)
    _check_free(number, but=None)
    organisation = Organisation.objects.create(
        kind=kind, name_ko=name_ko.strip(), name_en=name_en.strip(), registration_number=number
    )
    changes = {"name_ko": organisation.name_ko, "name_en": organisation.name_en, "registration_number": number}
    record(actor=actor, verb="organisation.register", target=organisation, changes=changes)
    return organisation


@transaction.atomic
def edit_organisation(
    *,
    actor: Any,
    organisation: Organisation,
    name_ko: str | None = None,
    name_en: str | None = None,
    registration_number: str | None = None,
) -> Organisation:
    """Change names or number; None leaves a field as it is. Forbidden; RuleBroken for a bad or known number.

    Its kind is for good: what a partner may do and what the agency may do hang on it.
    """
    require(actor, may_run_programme)
    organisation = Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)
    wanted = {"name_ko": name_ko, "name_en": name_en}
    new = {field: value.strip() for field, value in wanted.items() if value is not None}
    for field, value in new.items():
        if not value:
            raise RuleBroken(_("An organisation has a name in both languages."), code="name_missing", field=field)
    if registration_number is not None:
        new["registration_number"] = clean_registration_number(registration_number)
        _check_free(new["registration_number"], but=organisation)
    changes = {
        field: [getattr(organisation, field), value]
        for field, value in new.items()
        if getattr(organisation, field) != value
    }
    if changes:
        for field, (_before, value) in changes.items():
            setattr(organisation, field, value)
        organisation.save(update_fields=list(changes))
        record(actor=actor, verb="organisation.edit", target=organisation, changes=changes)
    return organisation


def _check_free(number: str, *, but: Organisation | None) -> None:
    known = Organisation.objects.filter(registration_number=number)
    if (known.exclude(pk=but.pk) if but else known).exists():
        raise RuleBroken(
            _("An organisation with this business registration number is already registered."),
            code="duplicate_registration_number",
            remedy=_("Please look for it in the list of organisations."),
            field="registration_number",
        )


def clean_registration_number(value: str) -> str:
    """Ten digits without hyphens; RuleBroken where the length or the check digit is wrong."""
    try:
        check_registration_number(value)
    except ValidationError as error:
        raise RuleBroken(error.messages[0], code="bad_registration_number", field="registration_number") from None
    return value.replace("-", "")
