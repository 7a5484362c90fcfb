"""How a person gets in: a certificate that dies with the lease."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import SshKey, User
from allocations.models import Lease
from allocations.rules import may_enter
from allocations.services.steps import lock_lease
from audit import services as audit
from cluster.models import Grant, SshCertificate
from cluster.selectors import grants_of
from cluster.services import certificates
from common.actors import RECONCILER
from common.errors import Forbidden, RuleBroken, WrongState
from common.permissions import allowed, require
from partners.models import Membership
from partners.rules import MANAGING, USING
from projects.models import ProjectMember

MOST_AN_HOUR = 20
"""Certificates of one person for one lease: many more than a person needs, few enough for a script gone wild."""


@transaction.atomic
def issue_certificate(*, actor: Any, lease: Lease, ssh_key: SshKey) -> SshCertificate:
    """Sign one of the actor's own keys until the end of the lease; valid on every node of the lease.

    Forbidden for people who may not get in and for keys of others; WrongState before the handover and after the end;
    RuleBroken past MOST_AN_HOUR.
    """
    lease = lock_lease(lease.pk)
    require(actor, may_enter, lease)
    if ssh_key.user_id != actor.pk:
        raise Forbidden(_("A certificate is made only for a key of your own."))
    now = timezone.now()
    grants = [grant for grant in grants_of(lease.public_id) if grant.revoked_at is None]
    if lease.state != "active" or not grants or lease.ends_at <= now:
        raise WrongState(
            _("There is no access now: the reservation is not active."),
            code="lease_not_active",
            remedy=_("Access begins when the node has handed the GPUs over."),
        )
    _check_rate(actor, grants, now)
    certificate = certificates.issue(
        actor=actor,
        grant=grants[0],
        others=grants[1:],
        user=actor,
        public_key=ssh_key.public_key,
        valid_before=lease.ends_at,
    )
    changes = {"key": ssh_key.fingerprint, "logins": certificate.principals, "valid_before": lease.ends_at}
    audit.record(actor=actor, verb="lease.certificate", target=lease, changes=changes)
    return certificate


def withdraw(now: datetime) -> int:
    """Certificates of people who may not get in any more are refused by the nodes from now on; how many.

    They left the team or the organisation, or their account was closed: none of these verbs knows of a machine.
    """
    found = 0
    for certificate in _without_right(now):
        lease = Lease.objects.filter(public_id=certificate.grant.lease_ref).first()
        user = User.objects.filter(pk=certificate.user_id, is_active=True).first()
        if lease is None or user is None or not allowed(user, may_enter, lease):
            found += certificates.revoke(actor=RECONCILER, certificates=[certificate], reason="may not enter any more")
    return found


def _without_right(now: datetime) -> QuerySet[SshCertificate]:
    """Good certificates whose holders look as if they had lost the right: one query, however many there are."""
    lease = Lease.objects.filter(public_id=OuterRef("grant__lease_ref"))
    project = Subquery(lease.values("allocation__project")[:1])
    organisation = Subquery(lease.values("allocation__project__organisation")[:1])
    booker = Subquery(lease.values("booked_by")[:1])
    member = Membership.objects.filter(
        user=OuterRef("user_id"), organisation=OuterRef("organisation"), user__is_active=True
    )
    team = ProjectMember.objects.filter(project=OuterRef("project"), user=OuterRef("user_id"))
    return (
        SshCertificate.objects.filter(revoked_at=None, valid_before__gt=now, grant__revoked_at=None)
        .annotate(project=project, organisation=organisation, booker=booker)
        .exclude(Exists(member.filter(role__in=MANAGING)))
        .exclude(Exists(member.filter(role__in=USING)) & (Q(booker=F("user_id")) | Exists(team)))
        .select_related("grant")
    )


def _check_rate(actor: Any, grants: list[Grant], now: datetime) -> None:
    """Counted from the rows; the lease's lock keeps two asks at once from both being the last."""
    recent = SshCertificate.objects.filter(
        grant__lease_ref=grants[0].lease_ref, user_id=actor.pk, created_at__gt=now - timedelta(hours=1)
    ).count()
    if recent >= MOST_AN_HOUR:
        raise RuleBroken(
            _("At most %(most)s certificates an hour are made for one person and reservation.")
            % {"most": MOST_AN_HOUR},
            code="too_many_certificates",
            remedy=_("The ones you have keep working until the reservation ends."),
            facts={"most": MOST_AN_HOUR, "recent": recent},
        )
