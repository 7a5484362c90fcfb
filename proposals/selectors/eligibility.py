"""Who may propose to a call, and why (not): said before anybody writes, and asked at submission."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Count
from django.utils.translation import gettext as _

from common.errors import Text
from common.moments import agency_today
from partners.models import Agreement, Membership, Organisation
from partners.rules import MANAGING
from proposals.models import Call, Proposal

NOT_COUNTED = ("draft", "withdrawn")
MOST = 5
"""Organisations of one person that a page tells about."""


@dataclass(frozen=True)
class Condition:
    """One condition of a call beside what an organisation has. `facts` are for the API."""

    rule: str
    met: bool
    asked: Text
    own: Text
    remedy: Text = ""


def conditions(call: Call, organisation: Organisation, *, but: Proposal | None = None) -> list[Condition]:
    """Each condition that the call makes, and whether this organisation meets it: one query at most.

    `but`: a proposal that does not count among those handed in already.
    """
    found = standing(call, organisation)
    if call.most_proposals is not None:
        found.append(_proposals(call, organisation, but))
    return found


def handed_in(call: Call, organisations: Iterable[Organisation]) -> dict[int, int]:
    """How many proposals count already of each of these organisations, by its key: one query."""
    rows = Proposal.objects.filter(call=call, organisation__in=list(organisations)).exclude(state__in=NOT_COUNTED)
    return dict(rows.order_by().values_list("organisation_id").annotate(count=Count("pk")))


def standing(call: Call, organisation: Organisation) -> list[Condition]:
    """The conditions that ask what the organisation is, whatever it has handed in. No query."""
    found = []
    if call.sizes:
        found.append(_listed("size", _("Company size"), call.sizes, organisation.size, Organisation.Size))
    if call.regions:
        found.append(_listed("region", _("Region"), call.regions, organisation.region, Organisation.Region))
    if call.most_years is not None:
        found.append(_founded(call.most_years, organisation.founded_on))
    return found


def conditions_of(call: Call) -> list[str]:
    """What a call asks of whoever proposes, as sentences for everybody."""
    said = []
    if call.sizes:
        said.append(_("Company size: %(sizes)s.") % {"sizes": _labels(call.sizes, Organisation.Size)})
    if call.regions:
        said.append(_("Region: %(regions)s.") % {"regions": _labels(call.regions, Organisation.Region)})
    if call.most_years is not None:
        said.append(_("Founded at most %(years)s years ago.") % {"years": call.most_years})
    if call.most_proposals is not None:
        said.append(_("At most %(count)s proposals of one organisation.") % {"count": call.most_proposals})
    return said


def anniversary(founded_on: date, years: int) -> date:
    """The day on which so many years are over; of 29 February the 1 March."""
    try:
        return founded_on.replace(year=founded_on.year + years)
    except ValueError:
        return date(founded_on.year + years, 3, 1)


def _labels(values: list[str], choices: Any) -> str:
    return ", ".join(str(choices(value).label) for value in values)


def _unknown(rule: str, asked: str) -> Condition:
    return Condition(
        rule,
        False,
        asked,
        _("not registered"),
        _("Please have it registered on the page of your organisation; your programme officer can do it."),
    )


def _listed(rule: str, name: str, wanted: list[str], own: str, choices: Any) -> Condition:
    asked = f"{name}: {_labels(wanted, choices)}"
    if not own:
        return _unknown(rule, asked)
    remedy = "" if own in wanted else _("Please look for a call that is open to your organisation.")
    return Condition(rule, own in wanted, asked, str(choices(own).label), remedy)


def _founded(years: int, founded_on: date | None) -> Condition:
    asked = _("Founded at most %(years)s years ago") % {"years": years}
    if founded_on is None:
        return _unknown("years", asked)
    met = agency_today() <= anniversary(founded_on, years)
    remedy = "" if met else _("Please look for a call that is open to your organisation.")
    return Condition("years", met, asked, _("founded on %(day)s") % {"day": founded_on.isoformat()}, remedy)


def _proposals(call: Call, organisation: Organisation, but: Proposal | None) -> Condition:
    rows = Proposal.objects.filter(call=call, organisation=organisation).exclude(state__in=NOT_COUNTED)
    count = (rows.exclude(pk=but.pk) if but else rows).count()
    most = call.most_proposals or 0
    return Condition(
        "proposals",
        count < most,
        _("At most %(count)s proposals of one organisation") % {"count": most},
        _("%(count)s handed in so far") % {"count": count},
        "" if count < most else _("Withdraw another proposal to this call first."),
    )


@dataclass(frozen=True)
class Standing:
    """An organisation before a call: what it meets and what it does not."""

    organisation: Organisation
    conditions: list[Condition]

    @property
    def may(self) -> bool:
        """Whether all conditions are met."""
        return all(condition.met for condition in self.conditions)


def standings(call: Call, user: Any) -> list[Standing]:
    """The organisations of a person before a call, agreement and role included: three queries, and one an
    organisation where the call bounds their proposals."""
    memberships = Membership.objects.filter(user_id=user.pk).select_related("organisation").order_by("pk")[:MOST]
    rows = list(memberships)
    agreements: dict[int, list[Agreement]] = {}
    today = agency_today()
    wanted = Agreement.objects.filter(organisation__in=[row.organisation_id for row in rows], state="active")
    for agreement in wanted.filter(valid_until__gte=today):
        agreements.setdefault(agreement.organisation_id, []).append(agreement)
    classes = {pool.gpu_class.code: pool.gpu_class.name for pool in call.pools.select_related("gpu_class")}
    return [
        Standing(
            row.organisation,
            [
                _role(row),
                _agreement(agreements.get(row.organisation_id, []), classes),
                *conditions(call, row.organisation),
            ],
        )
        for row in rows
    ]


def may_propose(call: Call) -> list[int]:
    """Keys of the organisations that may propose to a call today: an agreement in force that covers a GPU class of the
    call, and every condition that asks what the organisation is. Three queries.
    """
    today = agency_today()
    classes = list(call.pools.order_by().values_list("gpu_class__code", flat=True).distinct())
    agreements = Agreement.objects.filter(
        state="active", valid_from__lte=today, valid_until__gte=today, gpu_classes__overlap=classes
    )
    rows = Organisation.objects.filter(pk__in=agreements.values("organisation")).order_by("pk")
    return [row.pk for row in rows if all(condition.met for condition in standing(call, row))]


def _role(row: Membership) -> Condition:
    met = row.role in MANAGING
    return Condition(
        "role",
        met,
        _("You are owner or manager of your organisation"),
        str(row.get_role_display()),
        "" if met else _("Please ask an owner or manager of your organisation to propose."),
    )


def _agreement(agreements: list[Agreement], classes: dict[str, str]) -> Condition:
    covering = [row for row in agreements if set(row.gpu_classes) & set(classes)]
    if covering:
        own, remedy = ", ".join(row.number for row in covering), ""
    elif agreements:
        own = _("%(numbers)s, for other GPU classes") % {"numbers": ", ".join(row.number for row in agreements)}
        remedy = _("Please ask your programme officer to widen the agreement.")
    else:
        own = _("no agreement in force")
        remedy = _("Please ask your programme officer about an agreement.")
    asked = _("An agreement in force that covers a GPU class of the call (%(classes)s)")
    return Condition("agreement", bool(covering), asked % {"classes": ", ".join(classes.values())}, own, remedy)
