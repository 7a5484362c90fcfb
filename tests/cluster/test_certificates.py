"""What stands in a certificate, as cryptography and OpenSSH read it."""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)
from django.utils import timezone

from audit.models import AuditEvent
from cluster.models import Grant
from cluster.services.certificates import authority_public_key, issue
from common.actors import SEED
from tests.cluster.site import LEASE, LOGIN, Speaker
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def test_a_certificate_opens_one_login_until_one_moment(speaker: Speaker) -> None:
    speaker.hello()
    speaker.answer(speaker.order("grant"))
    user, end = UserFactory(), timezone.now() + timedelta(hours=2)
    public = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    row = issue(actor=SEED, grant=Grant.objects.get(), user=user, public_key=public.decode(), valid_before=end)
    certificate = load_ssh_public_identity(row.certificate.encode())
    assert isinstance(certificate, SSHCertificate)
    certificate.verify_cert_signature()
    assert certificate.signature_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() == (
        authority_public_key()
    )
    assert certificate.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) == public
    assert (certificate.type, certificate.serial) == (SSHCertificateType.USER, row.pk)
    assert certificate.valid_principals == [LOGIN.encode()]
    assert certificate.valid_before == int(end.timestamp())
    assert certificate.key_id == f"{LEASE} {user.label}".encode()
    assert (certificate.extensions, certificate.critical_options) == ({b"permit-pty": b""}, {})
    assert AuditEvent.objects.filter(verb="certificate.issue").exists()


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="no OpenSSH on this machine; cryptography reads it above")
def test_openssh_reads_the_certificate(speaker: Speaker, tmp_path: Path) -> None:
    speaker.hello()
    speaker.answer(speaker.order("grant"))
    public = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    end = timezone.now() + timedelta(hours=2)
    row = issue(actor=SEED, grant=Grant.objects.get(), user=UserFactory(), public_key=public, valid_before=end)
    file = tmp_path / "id-cert.pub"
    file.write_text(row.certificate + "\n")
    said = subprocess.run(["ssh-keygen", "-L", "-f", str(file)], capture_output=True, text=True, check=True).stdout
    assert row.fingerprint in said
    assert LOGIN in said
