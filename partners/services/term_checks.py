"""What the terms of an agreement must keep to, whoever writes them: a draft, a renewal, an amendment."""

from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _

from common.errors import RuleBroken
from common.quantities import seconds_to_hours
from partners.choices import gpu_class_choices, pool_choices, pool_names
from partners.commitments import Committed
from partners.models import Agreement, Organisation
from partners.models.agreements import IN_THE_WAY
from partners.terms import MAX_GPU_SECONDS, MAX_GPUS, MAX_GRACE_DAYS, AgreementTerms


def check_terms(terms: AgreementTerms, *, but: Agreement | None) -> None:
    """RuleBroken, on the field to mend, for terms that contradict themselves or name what there is not."""
    _check_number(terms, but)
    if terms.valid_until < terms.valid_from:
        raise RuleBroken(
            _("The term ends before it begins."),
            code="term_order",
            remedy=_("Please check both days."),
            field="valid_until",
        )
    _check_ceilings(terms)
    _check_classes(terms)
    _check_pools(terms)
    if set(terms.cooperation) - set(Agreement.Cooperation.values):
        raise RuleBroken(_("This is not an area of cooperation."), code="unknown_cooperation", field="cooperation")
    for name in ("ending", "suspension"):
        _check_rule(name, getattr(terms, f"{name}_rule"), getattr(terms, f"{name}_days"))


def check_no_overlap(organisation: Organisation, terms: AgreementTerms, *, but: Agreement | None) -> None:
    """RuleBroken where another agreement of the organisation covers a day of this one.

    Locks the organisation, so that of two that come at once the second sees the first.
    """
    Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)
    others = Agreement.objects.filter(
        organisation=organisation,
        state__in=IN_THE_WAY,
        valid_from__lte=terms.valid_until,
        valid_until__gte=terms.valid_from,
    )
    other = (others.exclude(pk=but.pk) if but else others).order_by("valid_from").first()
    if other is None:
        return
    raise RuleBroken(
        _("The agreement %(number)s of this organisation already covers %(first)s to %(last)s.")
        % {"number": other.number, "first": other.valid_from.isoformat(), "last": other.valid_until.isoformat()},
        code="terms_overlap",
        remedy=_("Choose a term from %(day)s on, or amend that agreement.")
        % {"day": (other.valid_until + timedelta(days=1)).isoformat()},
        field="valid_from" if but is None or but.state == "draft" else "valid_until",
        facts={
            "rule": "one_agreement_a_day",
            "agreement": other.public_id,
            "term": [other.valid_from.isoformat(), other.valid_until.isoformat()],
        },
    )


def check_promised(terms: AgreementTerms, used: Committed) -> None:
    """RuleBroken where terms allow less than what awards have promised under the agreement already."""
    hours = seconds_to_hours
    ceilings: list[tuple[str, Any, Any, Any]] = [
        ("ceiling_gpu_hours", terms.ceiling_gpu_seconds, used.gpu_seconds, hours),
        ("ceiling_concurrent_gpus", terms.ceiling_concurrent_gpus, used.concurrent_gpus, int),
    ]
    if terms.ceiling_gpu_seconds_a_year is not None:
        most = max(used.years.values(), default=0)
        ceilings.append(("ceiling_gpu_hours_a_year", terms.ceiling_gpu_seconds_a_year, most, hours))
    for name, ceiling, promised, shown in ceilings:
        if ceiling < promised:
            raise _below(name, str(shown(ceiling)), str(shown(promised)))
    if used.last_day and terms.valid_until < used.last_day:
        raise _below("valid_until", terms.valid_until.isoformat(), used.last_day.isoformat())
    names = dict(gpu_class_choices())
    if missing := sorted(used.gpu_classes - set(terms.gpu_classes)):
        raise _below("gpu_classes", "–", ", ".join(names.get(code, code) for code in missing))
    if terms.pools and (outside := sorted(used.pools - set(terms.pools))):
        raise _below("pools", "–", ", ".join(pool_names(outside)))


def _below(field: str, asked: str, promised: str) -> RuleBroken:
    return RuleBroken(
        _("Awards under this agreement already promise more than that: %(promised)s.") % {"promised": promised},
        code="below_promised",
        remedy=_("Leave at least as much, or close those allocations first."),
        field=field,
        facts={"rule": "promised", "asked": asked, "promised": promised},
    )


def _check_number(terms: AgreementTerms, but: Agreement | None) -> None:
    taken = Agreement.objects.filter(number=terms.number)
    if (taken.exclude(pk=but.pk) if but else taken).exists():
        raise RuleBroken(_("An agreement with this number already exists."), code="duplicate_number", field="number")


def _check_ceilings(terms: AgreementTerms) -> None:
    yearly = terms.ceiling_gpu_seconds_a_year
    for value, most, field in (
        (terms.ceiling_gpu_seconds, MAX_GPU_SECONDS, "ceiling_gpu_hours"),
        (1 if yearly is None else yearly, MAX_GPU_SECONDS, "ceiling_gpu_hours_a_year"),
        (terms.ceiling_concurrent_gpus, MAX_GPUS, "ceiling_concurrent_gpus"),
    ):
        if not 0 < value <= most:
            raise RuleBroken(_("A ceiling is a number above zero."), code="bad_ceiling", field=field)
    if yearly is not None and yearly > terms.ceiling_gpu_seconds:
        raise RuleBroken(
            _("The ceiling of a year is above the ceiling in all."),
            code="ceilings_contradict",
            remedy=_("Lower it, or leave it empty."),
            field="ceiling_gpu_hours_a_year",
        )


def _check_classes(terms: AgreementTerms) -> None:
    unknown = sorted(set(terms.gpu_classes) - {code for code, _name in gpu_class_choices()})
    if unknown or not terms.gpu_classes:
        raise RuleBroken(
            _("These GPU classes are not known: %(names)s.") % {"names": ", ".join(unknown)}
            if unknown
            else _("An agreement covers at least one GPU class."),
            code="unknown_gpu_class",
            field="gpu_classes",
        )


def _check_pools(terms: AgreementTerms) -> None:
    """Where pools are named, each class needs one: what covers a class and none of its pools allows nothing of it."""
    if not terms.pools:
        return
    classes = {pool: code for pool, _name, code in pool_choices()}
    if unknown := sorted(set(terms.pools) - set(classes)):
        raise RuleBroken(
            _("These pools are not known: %(names)s.") % {"names": ", ".join(unknown)},
            code="unknown_pool",
            field="pools",
        )
    if bare := sorted(set(terms.gpu_classes) - {classes[pool] for pool in terms.pools}):
        raise RuleBroken(
            _("None of the pools has GPUs of the class %(names)s.") % {"names": ", ".join(bare)},
            code="class_without_pool",
            remedy=_("Add such a pool, or leave the class out."),
            field="pools",
        )


def _check_rule(name: str, rule: str, days: int) -> None:
    if rule not in Agreement.RunOut.values:
        raise RuleBroken(_("This is not a rule for running reservations."), code="unknown_rule", field=f"{name}_rule")
    if not 0 <= days <= MAX_GRACE_DAYS or (rule == Agreement.RunOut.GRACE and days == 0):
        raise RuleBroken(
            _("Days of grace are a number from 1 to %(most)s.") % {"most": MAX_GRACE_DAYS},
            code="bad_grace",
            field=f"{name}_days",
        )
