"""The pool of reviewers."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Exists, Min, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import AgencyRole, RoleGrant, User
from proposals.models import Assignment, ReviewerInvitation, ReviewerProfile
from proposals.models.steps import IN_REVIEW


def pool_of_reviewers(*, blind: bool = False) -> QuerySet[ReviewerProfile]:
    """Everybody who holds the role and has a profile, with their person; for a blind call without the agency's own."""
    rows = ReviewerProfile.objects.filter(user__is_active=True, user__role_grants__role=AgencyRole.REVIEWER)
    return (rows.exclude(user__in=staff()) if blind else rows).select_related("user")


def open_invitations() -> QuerySet[ReviewerInvitation]:
    """Invitations to the pool that can still be accepted, with who sent them; newest first."""
    rows = ReviewerInvitation.objects.filter(accepted_at=None, revoked_at=None, expires_at__gt=timezone.now())
    return rows.select_related("invited_by")


def staff() -> QuerySet[User]:
    """Who works for the agency, beside reviewing: they read whatever was handed in, with its names."""
    return User.objects.filter(Exists(RoleGrant.objects.filter(user=OuterRef("pk")).exclude(role=AgencyRole.REVIEWER)))


def loads(people: Iterable[int]) -> dict[int, int]:
    """By key of the person: reviews that they were given and have not submitted, in proposals under review now."""
    rows = Assignment.objects.filter(
        reviewer__in=people, state__in=("proposed", "sent", "open"), proposal__state__in=IN_REVIEW
    )
    return dict(rows.values_list("reviewer_id").annotate(found=Count("pk")))


def with_loads(profiles: QuerySet[ReviewerProfile]) -> QuerySet[ReviewerProfile]:
    """With their person and `load`, as `loads` counts it, in the same statement."""
    open_ones = (
        Assignment.objects.filter(
            reviewer=OuterRef("user"), state__in=("proposed", "sent", "open"), proposal__state__in=IN_REVIEW
        )
        .order_by()
        .values("reviewer")
        .annotate(found=Count("pk"))
        .values("found")
    )
    return profiles.select_related("user").annotate(load=Coalesce(Subquery(open_ones), 0))


def people_of_pool(*, blind: bool = False) -> QuerySet[User]:
    """The people of the pool, to choose from; for a blind call without the agency's own."""
    rows = User.objects.filter(is_active=True, role_grants__role=AgencyRole.REVIEWER, reviewer_profile__isnull=False)
    return (rows.exclude(pk__in=staff()) if blind else rows).order_by("name", "pk")


@dataclass(frozen=True)
class OpenReviews:
    """What waits on a reviewer's desk."""

    count: int
    first_due_at: datetime | None


def open_reviews_of(user: User) -> OpenReviews:
    """Sent and not submitted, without what stands in conflict."""
    rows = Assignment.objects.of(user).filter(state__in=("sent", "open"), proposal__state__in=IN_REVIEW)
    found = rows.aggregate(count=Count("pk"), first=Min("due_at"))
    return OpenReviews(found["count"], found["first"])
