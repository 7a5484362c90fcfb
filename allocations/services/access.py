"""How a person gets in: a certificate that dies with the lease."""

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
from common.errors import Forbidden, WrongState
from common.permissions import require


@transaction.atomic
def issue_certificate(*, actor: Any, lease: Lease, ssh_key: SshKey) -> SshCertificate:
    """Sign one of the actor's own keys until the end of the lease; valid on every node of the lease."""
    lease = lock_lease(lease.pk)
    require(actor, may_enter, lease)
    if ssh_key.user_id != actor.pk:
        raise Forbidden(_("A certificate is made only for a key of your own."))
    grant: Grant | None = next((grant for grant in grants_of(lease.public_id) if grant.revoked_at is None), None)
    if lease.state != "active" or grant is None or lease.ends_at <= timezone.now():
        raise WrongState(
            _("There is no access now: the reservation is not active."),
            code="lease_not_active",
            remedy=_("Access begins when the node has handed the GPUs over."),
        )
    certificate = certificates.issue(
        actor=actor, grant=grant, user=actor, public_key=ssh_key.public_key, valid_before=lease.ends_at
    )
    changes = {"key": ssh_key.fingerprint, "login": grant.login, "valid_before": lease.ends_at}
    audit.record(actor=actor, verb="lease.certificate", target=lease, changes=changes)
    return certificate
