"""The portal as an SSH certificate authority: a certificate is a key to the logins of one lease, until one moment."""

import base64
import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_private_key,
    load_ssh_public_key,
)
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from audit.services import record
from cluster.models import Grant, SshCertificate

CLOCK_ALLOWANCE = timedelta(minutes=5)  # a node's clock may be behind ours


@cache
def _authority() -> Ed25519PrivateKey:
    key = load_ssh_private_key(settings.SSH_CA_KEY.encode(), password=None)
    assert isinstance(key, Ed25519PrivateKey), "SSH_CA_KEY must be an ed25519 key"
    return key


def authority_public_key() -> str:
    """The CA's public key as one OpenSSH line; nodes trust exactly this."""
    return _authority().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


@transaction.atomic
def issue(
    *, actor: Any, grant: Grant, user: Any, public_key: str, valid_before: datetime, others: Iterable[Grant] = ()
) -> SshCertificate:
    """Sign a user's public key for the login of `grant`, valid from now until `valid_before` and no longer.

    `others` are the grants of the same lease on further nodes: one certificate opens the login of each. The caller
    has decided that this user may have it. The key id names lease and person, the serial is the row's id.
    """
    principals = _principals(grant, others)
    row = SshCertificate.objects.create(
        grant=grant,
        user_id=user.pk,
        key_id=f"{grant.lease_ref} {user.label}",
        fingerprint=_fingerprint(public_key),
        principals=principals,
        valid_before=valid_before,
        certificate="",
    )
    certificate = (
        SSHCertificateBuilder()
        .public_key(load_ssh_public_key(public_key.encode()))  # type: ignore[arg-type]  # DSA was refused when kept
        .serial(row.pk)
        .type(SSHCertificateType.USER)
        .key_id(row.key_id.encode())
        .valid_principals([login.encode() for login in principals])
        .valid_after(int((timezone.now() - CLOCK_ALLOWANCE).timestamp()))
        .valid_before(int(valid_before.astimezone(UTC).timestamp()))
        .add_extension(b"permit-pty", b"")
        .sign(_authority())
    )
    row.certificate = certificate.public_bytes().decode()
    row.save(update_fields=["certificate"])
    changes = {"key_id": row.key_id, "fingerprint": row.fingerprint, "principals": principals}
    record(actor=actor, verb="certificate.issue", target=grant, changes=changes)
    return row


@transaction.atomic
def revoke(*, actor: Any, certificates: Iterable[SshCertificate], reason: str) -> int:
    """Have the nodes refuse these before their time, with their next heartbeat; how many were not refused yet.

    The caller has decided that their holders may not get in any more.
    """
    ids = [certificate.pk for certificate in certificates]
    rows = list(
        SshCertificate.objects.select_for_update(no_key=True).filter(pk__in=ids, revoked_at=None).order_by("pk")
    )
    now = timezone.now()
    for row in rows:
        row.revoked_at = now
        record(actor=actor, verb="certificate.revoke", target=row.grant, changes={"serial": row.pk, "reason": reason})
    SshCertificate.objects.bulk_update(rows, ["revoked_at"])
    return len(rows)


def refused_serials(node_id: int) -> list[int]:
    """Serials that a node must not let in, of certificates that would be good otherwise: one query."""
    leases = Grant.objects.filter(node_id=node_id, revoked_at=None).values("lease_ref")
    rows = SshCertificate.objects.filter(
        grant__lease_ref__in=leases, revoked_at__isnull=False, valid_before__gt=timezone.now()
    )
    return list(rows.order_by("pk").values_list("pk", flat=True))


def _principals(grant: Grant, others: Iterable[Grant]) -> list[str]:
    """The logins, each once, that of `grant` first. A certificate never spans two leases."""
    grants = [grant, *others]
    if {one.lease_ref for one in grants} != {grant.lease_ref}:
        raise ValueError("grants of several leases in one certificate")
    return list(dict.fromkeys(one.login for one in grants))


def _fingerprint(public_key: str) -> str:
    digest = hashlib.sha256(base64.b64decode(public_key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
