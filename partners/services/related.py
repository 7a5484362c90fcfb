"""Who stands behind an organisation and beside it: kept by officers, because conflicts of interest are found by it."""

from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Q, Sum
from django.utils.translation import gettext as _

from accounts.rules import may_run_programme
from audit.services import record
from common.errors import RuleBroken
from common.permissions import require
from common.texts import one_line
from partners.models import Organisation, Relation, Shareholder
from partners.services.organisations import clean_registration_number

MOST = 200
SUBSIDIARY = "subsidiary"


@transaction.atomic
def set_shareholder(
    *,
    actor: Any,
    organisation: Organisation,
    name: str,
    percent: Decimal,
    registration_number: str = "",
    shareholder: Shareholder | None = None,
) -> Shareholder:
    """Write a shareholder down, or put one (`shareholder`) right. `percent` of the shares; all of them are a hundred.

    Where an organisation is registered under the number it is linked. Forbidden; RuleBroken for a bad number, the same
    name twice, or more than a hundred per cent.
    """
    require(actor, may_run_programme)
    _lock(organisation)
    name = one_line(name)
    number = clean_registration_number(registration_number) if registration_number.strip() else ""
    others = Shareholder.objects.filter(organisation=organisation).exclude(pk=shareholder.pk if shareholder else 0)
    if shareholder is None and others.count() >= MOST:
        raise RuleBroken(_("Two hundred shareholders are written down already."), code="too_many")
    if not name:
        raise RuleBroken(_("A shareholder has a name."), code="name_missing", field="name")
    if others.filter(name=name).exists():
        raise RuleBroken(_("A shareholder of this name is written down already."), code="duplicate", field="name")
    if number == organisation.registration_number:
        raise RuleBroken(
            _("An organisation is not its own shareholder."), code="own_shareholder", field="registration_number"
        )
    _check_percent(percent, others.aggregate(total=Sum("percent", default=Decimal(0)))["total"])
    row = shareholder or Shareholder(organisation=organisation)
    row.name, row.percent, row.registration_number = name, percent, number
    row.holder = Organisation.objects.filter(registration_number=number).first() if number else None
    row.save()
    changes = {"shareholder": row.public_id, "name": name, "percent": str(percent), "registration_number": number}
    verb = "organisation.edit_shareholder" if shareholder else "organisation.add_shareholder"
    record(actor=actor, verb=verb, target=organisation, changes=changes)
    return row


@transaction.atomic
def remove_shareholder(*, actor: Any, shareholder: Shareholder) -> Organisation:
    """They hold nothing any more. Forbidden."""
    require(actor, may_run_programme)
    organisation = shareholder.organisation
    changes = {"shareholder": shareholder.public_id, "name": shareholder.name, "percent": str(shareholder.percent)}
    shareholder.delete()
    record(actor=actor, verb="organisation.remove_shareholder", target=organisation, changes=changes)
    return organisation


@transaction.atomic
def add_relation(*, actor: Any, organisation: Organisation, other: str, kind: str, note: str = "") -> Relation:
    """Relate two organisations. `other` is the business registration number of one that is registered; `kind` is read
    from `organisation`: a Relation.Kind, or "subsidiary" of the other.

    Forbidden; RuleBroken for an organisation with itself, one that is not registered, or a pair related already.
    """
    require(actor, may_run_programme)
    found = Organisation.objects.filter(registration_number=clean_registration_number(other, "other")).first()
    if found is None:
        raise RuleBroken(
            _("No organisation is registered under this number."),
            code="unknown_organisation",
            remedy=_("Register it first."),
            field="other",
        )
    if organisation.pk == found.pk:
        raise RuleBroken(_("An organisation is not related to itself."), code="same_organisation", field="other")
    if kind not in {*Relation.Kind.values, SUBSIDIARY}:
        raise RuleBroken(_("This is not one of the choices."), code="unknown_kind", field="kind")
    for one in sorted((organisation, found), key=lambda row: row.pk):
        _lock(one)
    pair = Q(organisation=organisation, other=found) | Q(organisation=found, other=organisation)
    if Relation.objects.filter(pair).exists():
        raise RuleBroken(
            _("These two organisations are related already."),
            code="duplicate",
            remedy=_("Remove that relation first."),
            field="other",
        )
    ends = (found, organisation) if kind == SUBSIDIARY else (organisation, found)
    stored = Relation.Kind.PARENT if kind == SUBSIDIARY else Relation.Kind(kind)
    row = Relation.objects.create(organisation=ends[0], other=ends[1], kind=stored, note=note.strip())
    changes = {"relation": row.public_id, "other": found.public_id, "kind": kind}
    record(actor=actor, verb="organisation.relate", target=organisation, changes=changes)
    return row


@transaction.atomic
def remove_relation(*, actor: Any, relation: Relation) -> Organisation:
    """They are not related any more. Forbidden."""
    require(actor, may_run_programme)
    organisation = relation.organisation
    changes = {"relation": relation.public_id, "other": relation.other.public_id, "kind": relation.kind}
    relation.delete()
    record(actor=actor, verb="organisation.unrelate", target=organisation, changes=changes)
    return organisation


def _check_percent(percent: Decimal, others: Decimal) -> None:
    if not 0 < percent <= 100:
        raise RuleBroken(_("A share lies above 0 and is 100 per cent at most."), code="bad_percent", field="percent")
    if others + percent > 100:
        raise RuleBroken(
            _("The shares come to more than 100 per cent: the others hold %(others)s already.") % {"others": others},
            code="above_hundred",
            remedy=_("At most %(left)s per cent are left.") % {"left": 100 - others},
            field="percent",
            facts={"others": str(others), "left": str(100 - others)},
        )


def _lock(organisation: Organisation) -> None:
    Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)
