"""Questions about organisations and their people."""

from typing import Any

from django.db.models import Count, Q, QuerySet

from accounts.models import AgencyRole, User
from common.moments import agency_today
from partners.models import Agreement, Invitation, Membership, Organisation
from partners.rules import MANAGING


def officers() -> QuerySet[User]:
    """Everybody who runs the programme: whom the agency's notifications go to."""
    return User.objects.filter(is_active=True, role_grants__role=AgencyRole.OFFICER).distinct()


def operators() -> QuerySet[User]:
    """Everybody who runs the nodes."""
    return User.objects.filter(is_active=True, role_grants__role=AgencyRole.OPERATOR).distinct()


def managers_of(organisation: Organisation) -> QuerySet[User]:
    """Owners and managers: whom an organisation's notifications go to."""
    return User.objects.filter(memberships__organisation=organisation, memberships__role__in=MANAGING)


def owners_of(organisation: Organisation) -> QuerySet[User]:
    """The owners."""
    return User.objects.filter(memberships__organisation=organisation, memberships__role=Membership.Role.OWNER)


def people_of(organisation: Organisation) -> QuerySet[Membership]:
    """Memberships with their people, owners first."""
    return organisation.memberships.select_related("user", "department").order_by("role", "joined_at")


def open_invitations(organisation: Organisation) -> QuerySet[Invitation]:
    """Neither used nor revoked; expired ones stay listed so that they can be sent again."""
    return organisation.invitations.filter(accepted_at=None, revoked_at=None).select_related("invited_by")


def managed_agreements(user: Any) -> QuerySet[Agreement]:
    """Agreements under which this person may propose: active, in term today, of organisations they manage."""
    today = agency_today()
    managed = Membership.objects.filter(user_id=user.pk, role__in=MANAGING).values("organisation_id")
    return Agreement.objects.filter(organisation_id__in=managed, state="active", valid_until__gte=today).select_related(
        "organisation"
    )


def with_counts(queryset: QuerySet[Organisation]) -> QuerySet[Organisation]:
    """Adds `people_count` and `active_agreement_count` for a list."""
    return queryset.annotate(
        people_count=Count("memberships", distinct=True),
        active_agreement_count=Count("agreements", filter=Q(agreements__state="active"), distinct=True),
    )
