"""Registering organisations."""

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
    if Organisation.objects.filter(registration_number=number).exists():
        raise RuleBroken(
            _("An organisation with this business registration number is already registered."),
            code="duplicate_registration_number",
            remedy=_("Please look for it in the list of organisations."),
            field="registration_number",
        )
    organisation = Organisation.objects.create(
        kind=kind, name_ko=name_ko.strip(), name_en=name_en.strip(), registration_number=number
    )
    changes = {"name_ko": organisation.name_ko, "name_en": organisation.name_en, "registration_number": number}
    record(actor=actor, verb="organisation.register", target=organisation, changes=changes)
    return organisation


def clean_registration_number(value: str) -> str:
    """Ten digits without hyphens; RuleBroken where the length or the check digit is wrong."""
    try:
        check_registration_number(value)
    except ValidationError as error:
        raise RuleBroken(error.messages[0], code="bad_registration_number", field="registration_number") from None
    return value.replace("-", "")
