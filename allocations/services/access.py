"""How a person gets in: a certificate that dies with the lease."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import SshKey
from allocations.models import Lease
from allocations.rules import may_enter
from allocations.services.steps import lock_lease
from audit import services as audit
from cluster.models import Grant, SshCertificate
from cluster.selectors import grants_of
from cluster.services import certificates
from common.errors import Forbidden, RuleBroken, WrongState
from common.permissions import require

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
