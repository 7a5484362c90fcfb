"""Registering organisations and keeping them right."""

from datetime import date
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.rules import may_run_programme
from audit.services import record
from common.errors import RuleBroken, WrongState
from common.moments import agency_today
from common.permissions import require
from common.texts import one_line
from partners.models import Organisation, check_registration_number

EDITABLE = ("name_ko", "name_en", "registration_number", "size", "region", "founded_on")


@transaction.atomic
def register_organisation(
    *,
    actor: Any,
    name_ko: str,
    name_en: str,
    registration_number: str,
    kind: str = Organisation.Kind.PARTNER,
    size: str = "",
    region: str = "",
    founded_on: date | None = None,
) -> Organisation:
    """Register an organisation. Forbidden; RuleBroken for a bad or known business registration number."""
    require(actor, may_run_programme)
    number = clean_registration_number(registration_number)
    _check_free(number, but=None)
    facts = {"size": size, "region": region, "founded_on": founded_on}
    _check_facts(facts)
    organisation = Organisation(
        kind=kind, name_ko=_name("name_ko", name_ko), name_en=_name("name_en", name_en), registration_number=number
    )
    for field, value in facts.items():
        setattr(organisation, field, value)
    organisation.save()
    changes = {"name_ko": organisation.name_ko, "name_en": organisation.name_en, "registration_number": number}
    record(
        actor=actor,
        verb="organisation.register",
        target=organisation,
        changes=changes | {field: value for field, value in facts.items() if value},
    )
    return organisation


@transaction.atomic
def edit_organisation(
    *, actor: Any, organisation: Organisation, revision: int | None = None, **wanted: Any
) -> Organisation:
    """Change what is named: name_ko, name_en, registration_number, size, region, founded_on. The rest stays.

    Forbidden; RuleBroken for a bad or known number; WrongState where `revision` is given and somebody has saved since.
    Its kind is for good: what a partner may do and what the agency may do hang on it.
    """
    require(actor, may_run_programme)
    organisation = Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)
    new = {field: wanted[field] for field in EDITABLE if field in wanted}
    for field in ("name_ko", "name_en"):
        if field in new:
            new[field] = _name(field, new[field])
    if "registration_number" in new:
        new["registration_number"] = clean_registration_number(new["registration_number"])
        _check_free(new["registration_number"], but=organisation)
    _check_facts(new)
    changes = {
        field: [getattr(organisation, field), value]
        for field, value in new.items()
        if getattr(organisation, field) != value
    }
    _check_revision(organisation, changes, revision)
    if changes:
        for field, (_before, value) in changes.items():
            setattr(organisation, field, value)
        organisation.revision += 1
        organisation.save(update_fields=[*changes, "revision"])
        record(actor=actor, verb="organisation.edit", target=organisation, changes=changes)
    return organisation


def _name(field: str, value: str) -> str:
    """As people write it: composed Hangul, on one line, nothing in it that turns what stands beside it."""
    name = one_line(value)
    if not name:
        raise RuleBroken(_("An organisation has a name in both languages."), code="name_missing", field=field)
    return name


def _check_facts(facts: dict[str, Any]) -> None:
    for field, values in (("size", Organisation.Size.values), ("region", Organisation.Region.values)):
        if facts.get(field) and facts[field] not in values:
            raise RuleBroken(_("This is not one of the choices."), code=f"unknown_{field}", field=field)
    founded = facts.get("founded_on")
    if founded and founded > agency_today():
        raise RuleBroken(_("This day has not come yet."), code="founded_in_future", field="founded_on")


def _check_revision(organisation: Organisation, changes: dict[str, Any], revision: int | None) -> None:
    """What somebody else saved meanwhile is told, field by field, and nothing of either is lost."""
    if revision is None or revision == organisation.revision:
        return
    there = [
        f"{Organisation._meta.get_field(field).verbose_name} ({saved or '–'})"  # type: ignore[union-attr]
        for field, (saved, _wanted) in changes.items()
    ]
    raise WrongState(
        _("Somebody has saved this organisation since you opened it. Saved there and different here: %(names)s.")
        % {"names": ", ".join(there) or "–"},
        code="overtaken",
        remedy=_("What you typed is still here. Check these fields, then save again."),
        facts={"revision": organisation.revision, "saved": {field: str(row[0]) for field, row in changes.items()}},
    )


def _check_free(number: str, *, but: Organisation | None) -> None:
    known = Organisation.objects.filter(registration_number=number)
    if (known.exclude(pk=but.pk) if but else known).exists():
        raise RuleBroken(
            _("An organisation with this business registration number is already registered."),
            code="duplicate_registration_number",
            remedy=_("Please look for it in the list of organisations."),
            field="registration_number",
        )


def clean_registration_number(value: str, field: str = "registration_number") -> str:
    """Ten digits without hyphens; RuleBroken where the length or the check digit is wrong."""
    try:
        check_registration_number(value)
    except ValidationError as error:
        raise RuleBroken(error.messages[0], code="bad_registration_number", field=field) from None
    return value.replace("-", "")
