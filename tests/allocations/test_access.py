"""Certificates: for whom, for which logins, until when."""

from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import SSHCertificate, load_ssh_public_identity
from django.utils import timezone

from accounts.models import SshKey
from allocations.models import Lease
from allocations.services import access, ending
from audit.models import AuditEvent
from cluster.models import Grant, SshCertificate
from common.errors import Forbidden, WrongState
from partners.models import Membership
from tests.allocations.conftest import Stage
from tests.allocations.test_api import client as api_of
from tests.allocations.test_reconcile import go, started
from tests.factories import SshKeyFactory, UserFactory


def read(row: SshCertificate) -> SSHCertificate:
    """What OpenSSH would read."""
    found = load_ssh_public_identity(row.certificate.encode())
    assert isinstance(found, SSHCertificate)
    found.verify_cert_signature()
    return found


def ask(user: Any, lease: Lease, key: SshKey | None = None) -> SshCertificate:
    return access.issue_certificate(actor=user, lease=lease, ssh_key=key or SshKeyFactory(user=user))


def test_it_ends_with_the_lease_and_opens_its_login_only(stage: Stage) -> None:
    lease = started(stage, count=2)
    made = read(ask(stage.cast.owner, lease))
    assert made.valid_before == int(lease.ends_at.timestamp())
    assert made.valid_principals == [b"bg-" + lease.public_id.removeprefix("lease-").encode()]
    assert made.key_id.startswith(lease.public_id.encode())
    assert made.valid_after <= timezone.now().timestamp()


def test_one_certificate_opens_the_login_of_every_node(stage: Stage) -> None:
    lease = started(stage, count=10)
    grants = list(Grant.objects.filter(lease_ref=lease.public_id).order_by("node__name"))
    assert len(grants) == 2
    Grant.objects.filter(pk=grants[1].pk).update(login="other-login")
    row = ask(stage.cast.owner, lease)
    assert read(row).valid_principals == [grants[0].login.encode(), b"other-login"] and row.grant == grants[0]
    assert row.principals == [grants[0].login, "other-login"]


def test_a_login_that_two_nodes_share_is_named_once_and_one_that_is_gone_not_at_all(stage: Stage) -> None:
    lease = started(stage, count=10)
    first, second = Grant.objects.filter(lease_ref=lease.public_id).order_by("node__name")
    assert len(read(ask(stage.cast.owner, lease)).valid_principals) == 1
    Grant.objects.filter(pk=second.pk).update(login="gone-login", revoked_at=timezone.now())
    assert read(ask(stage.cast.owner, lease)).valid_principals == [first.login.encode()]


@pytest.mark.parametrize("who", ["owner", "manager", "teammate"])
def test_the_people_of_the_lease_get_one(stage: Stage, who: str) -> None:
    assert ask(getattr(stage.cast, who), started(stage)).user_id == getattr(stage.cast, who).pk


@pytest.mark.parametrize("who", ["viewer", "outsider", "officer", "operator", "auditor", "administrator"])
def test_nobody_else_gets_one(stage: Stage, who: str) -> None:
    lease = started(stage)
    with pytest.raises(Forbidden):
        ask(getattr(stage.cast, who), lease)
    assert not SshCertificate.objects.exists()


def test_a_member_who_is_not_of_the_project_gets_none(stage: Stage) -> None:
    colleague = UserFactory()
    Membership.objects.create(organisation=stage.cast.organisation, user=colleague, role="member")
    with pytest.raises(Forbidden):
        ask(colleague, started(stage))


def test_whoever_left_the_organisation_gets_none(stage: Stage) -> None:
    lease = started(stage)
    stage.cast.owner.memberships.all().delete()
    with pytest.raises(Forbidden):
        ask(stage.cast.owner, lease)


def test_only_ones_own_key_is_signed(stage: Stage) -> None:
    lease = started(stage)
    with pytest.raises(Forbidden):
        ask(stage.cast.owner, lease, SshKeyFactory(user=stage.cast.teammate))


def test_there_is_none_before_the_handover(stage: Stage) -> None:
    lease = stage.book(2)
    for moment in (lease.starts_at - timedelta(minutes=40), lease.starts_at - timedelta(minutes=5)):
        go(lease, moment)
        with pytest.raises(WrongState) as caught:
            ask(stage.cast.owner, lease)
        assert caught.value.code == "lease_not_active"


@pytest.mark.parametrize("how", ["expired", "released", "clock", "node"])
def test_there_is_none_after_the_end(stage: Stage, how: str) -> None:
    lease = started(stage)
    stage.proved = how != "clock"  # which moves the end past the services
    if how == "expired":
        go(lease, lease.ends_at)
    elif how == "released":
        ending.release(actor=stage.cast.owner, lease=lease)
    elif how == "clock":  # the end is over and the reconciler has not come by yet
        past = timezone.now() - timedelta(seconds=1)
        Lease.objects.filter(pk=lease.pk).update(starts_at=past - timedelta(hours=1), ends_at=past)
    else:  # the node has cut the access off by its own clock
        Grant.objects.filter(lease_ref=lease.public_id).update(revoked_at=timezone.now())
    with pytest.raises(WrongState):
        ask(stage.cast.owner, lease)
    assert not SshCertificate.objects.exists()


def test_each_one_is_in_the_audit_log(stage: Stage) -> None:
    lease = started(stage)
    key = SshKeyFactory(user=stage.cast.owner)
    ask(stage.cast.owner, lease, key)
    event = AuditEvent.objects.get(verb="lease.certificate", target_id=lease.public_id)
    assert event.changes["key"] == key.fingerprint and event.changes["logins"]
    assert AuditEvent.objects.filter(verb="certificate.issue").count() == 1


def test_a_script_gone_wild_is_stopped_without_stopping_anybody_else(stage: Stage) -> None:
    lease, key = started(stage), SshKeyFactory(user=stage.cast.owner)
    for _turn in range(access.MOST_AN_HOUR):
        ask(stage.cast.owner, lease, key)
    url = f"/api/v1/leases/{lease.public_id}/certificate/"
    refused = api_of(stage.cast.owner).post(url, {"ssh_key": key.public_id}, format="json")
    assert (refused.status_code, refused.data["code"]) == (422, "too_many_certificates")
    assert SshCertificate.objects.count() == access.MOST_AN_HOUR
    ask(stage.cast.teammate, lease)
    SshCertificate.objects.filter(user_id=stage.cast.owner.pk).update(created_at=timezone.now() - timedelta(hours=2))
    ask(stage.cast.owner, lease, key)


def test_the_api_answers_with_the_logins(stage: Stage) -> None:
    lease, key = started(stage, count=10), SshKeyFactory(user=stage.cast.owner)
    made = api_of(stage.cast.owner).post(
        f"/api/v1/leases/{lease.public_id}/certificate/", {"ssh_key": key.public_id}, format="json"
    )
    assert made.status_code == 201 and made.data["principals"] == [made.data["login"]]
    assert api_of(stage.cast.outsider).post(f"/api/v1/leases/{lease.public_id}/certificate/").status_code == 404
