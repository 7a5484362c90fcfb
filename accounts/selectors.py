"""Questions about people."""

from allauth.mfa.models import Authenticator
from django.contrib.postgres.aggregates import StringAgg
from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import RoleGrant, User


def agency_people() -> QuerySet[User]:
    """Everybody with an agency role, with `role_list` (as stored, joined by commas) and `has_totp`."""
    totp = Authenticator.objects.filter(user=OuterRef("pk"), type=Authenticator.Type.TOTP)
    held = RoleGrant.objects.filter(user=OuterRef("pk"))
    people = User.objects.filter(Exists(held), is_active=True)
    return people.annotate(
        role_list=StringAgg("role_grants__role", ",", order_by="role_grants__role"), has_totp=Exists(totp)
    )
