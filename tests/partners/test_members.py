"""Members, roles and invitations."""

import re
from datetime import timedelta

import pytest
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.adapter import INVITED_EMAIL
from accounts.models import User
from common.errors import Forbidden, RuleBroken, WrongState
from notifications.models import Mail
from partners.models import Invitation, Membership
from partners.services import invitations, members
from tests.factories import Cast, UserFactory
from tests.factories.accounts import PASSWORD
from tests.proposals.stage import browser


def mailed_path() -> str:
    """The path of the newest invitation mail."""
    mail = Mail.objects.filter(body__contains="/invitations/").latest("id")
    return re.search(r"/invitations/[^/]+/", mail.body).group()  # type: ignore[union-attr]


def membership(cast: Cast, who: str) -> Membership:
    return Membership.objects.get(user=getattr(cast, who), organisation=cast.organisation)


def test_the_token_is_in_the_mail_only(cast: Cast) -> None:
    invitation = invitations.invite(actor=cast.owner, organisation=cast.organisation, email="New@x.test", role="member")
    token = mailed_path().split("/")[2]
    assert token not in str(vars(Invitation.objects.get()))
    assert invitations.find(token) == invitation
    assert timedelta(days=6) < invitation.expires_at - timezone.now() <= timedelta(days=7)


def test_somebody_new_accepts_signs_up_and_is_a_member(cast: Cast) -> None:
    invitations.invite(actor=cast.owner, organisation=cast.organisation, email="new@x.test", role="member")
    client, path = Client(), mailed_path()
    assert client.get(path).status_code == 200
    assert client.get(reverse("account_signup")).status_code == 200
    door = client.post(path)
    assert door.url.startswith(reverse("account_signup"))
    assert client.session[INVITED_EMAIL] == "new@x.test"
    form = {
        "email": "new@x.test",
        "name": "New\u202e \x07Person",
        "password1": "a-quite-long-word-7",
        "password2": "a-quite-long-word-7",
    }
    answer = client.post(door.url, form, follow=True)
    user = User.objects.get(email="new@x.test")
    assert user.memberships.get().role == "member", answer.redirect_chain
    assert user.name == "New Person"  # nothing in it that turns the sentences around it
    assert INVITED_EMAIL not in client.session


def test_an_invitation_signs_up_nobody_but_the_invited_address(cast: Cast) -> None:
    invitations.invite(actor=cast.owner, organisation=cast.organisation, email="new@x.test", role="member")
    client = Client()
    door = client.post(mailed_path())
    assert client.get(door.url).context["form"]["email"].value() == "new@x.test"
    form = {
        "email": "else@x.test",
        "name": "Else",
        "password1": "a-quite-long-word-7",
        "password2": "a-quite-long-word-7",
    }
    answer = client.post(door.url, form)
    assert "new@x.test" in answer.context["form"].errors["email"][0]
    assert not User.objects.filter(email="else@x.test").exists()


def test_somebody_with_an_account_joins_with_one_post(cast: Cast) -> None:
    invitations.invite(actor=cast.manager, organisation=cast.organisation, email=cast.outsider.email, role="viewer")
    client, path = browser(cast.outsider), mailed_path()
    assert client.get(path).status_code == 200
    assert not cast.organisation.memberships.filter(user=cast.outsider).exists()  # looking joins nobody
    assert client.post(path).url == cast.organisation.get_absolute_url()
    assert cast.organisation.memberships.get(user=cast.outsider).role == "viewer"
    assert client.post(path).status_code in (302, 410)


def test_the_door_leads_to_sign_in_where_there_is_an_account(cast: Cast) -> None:
    invitations.invite(actor=cast.owner, organisation=cast.organisation, email=cast.outsider.email, role="member")
    client, path = Client(), mailed_path()
    door = client.post(path)
    assert door.url.startswith(reverse("account_login"))
    answer = client.post(door.url, {"login": cast.outsider.email, "password": PASSWORD}, follow=True)
    assert cast.organisation.memberships.filter(user=cast.outsider).exists(), answer.redirect_chain


def test_another_address_cannot_use_the_invitation(cast: Cast) -> None:
    invitation = invitations.invite(actor=cast.owner, organisation=cast.organisation, email="new@x.test", role="member")
    client, path = browser(cast.outsider), mailed_path()
    assert "new@x.test" in client.post(path).content.decode()
    with pytest.raises(RuleBroken):
        invitations.accept(actor=cast.outsider, invitation=invitation)


def test_revoked_resent_and_expired_links_are_dead(cast: Cast) -> None:
    user = UserFactory(email="new@x.test")
    invitation = invitations.invite(actor=cast.owner, organisation=cast.organisation, email=user.email, role="member")
    old = mailed_path()
    with pytest.raises(RuleBroken) as caught:
        invitations.resend(actor=cast.owner, invitation=invitation)
    assert caught.value.code == "resent_lately" and Client().get(old).status_code == 200
    Invitation.objects.update(expires_at=F("expires_at") - invitations.RESEND_AFTER)
    invitations.resend(actor=cast.owner, invitation=invitation)
    assert Client().get(old).status_code == 410
    with pytest.raises(WrongState):
        invitations.accept(actor=user, invitation=invitation, now=timezone.now() + timedelta(days=8))
    invitations.revoke(actor=cast.owner, invitation=invitation)
    assert Client().get(mailed_path()).status_code == 410
    assert browser(user).post(mailed_path()).status_code == 410
    assert Client().get("/invitations/nonsense/").status_code == 410


def test_only_owners_touch_owners(cast: Cast) -> None:
    with pytest.raises(Forbidden):
        members.change_role(actor=cast.manager, membership=membership(cast, "teammate"), role="owner")
    with pytest.raises(Forbidden):
        members.remove_member(actor=cast.manager, membership=membership(cast, "owner"))
    with pytest.raises(Forbidden):
        invitations.invite(actor=cast.manager, organisation=cast.organisation, email="a@x.test", role="owner")
    assert (
        members.change_role(actor=cast.manager, membership=membership(cast, "viewer"), role="member").role == "member"
    )
    for who in ("teammate", "viewer", "outsider", "operator"):
        with pytest.raises(Forbidden):
            members.change_role(actor=getattr(cast, who), membership=membership(cast, "manager"), role="viewer")


def test_an_organisation_is_never_without_an_owner(cast: Cast) -> None:
    own = membership(cast, "owner")
    for verb in (
        lambda: members.change_role(actor=cast.owner, membership=own, role="viewer"),
        lambda: members.remove_member(actor=cast.owner, membership=own),
    ):
        with pytest.raises(RuleBroken) as caught:
            verb()
        assert caught.value.code == "last_owner"
    members.transfer_ownership(actor=cast.owner, organisation=cast.organisation, to=membership(cast, "manager"))
    assert (membership(cast, "owner").role, membership(cast, "manager").role) == ("manager", "owner")


@pytest.mark.parametrize("form", [{}, {"email": "no address", "role": "member"}, {"email": "a@x.test", "role": "king"}])
def test_a_bad_invitation_comes_back_on_the_form(cast: Cast, form: dict[str, str]) -> None:
    url = reverse("partners:member-invite", args=[cast.organisation.public_id])
    assert browser(cast.owner).post(url, form).status_code == 422
    assert not Invitation.objects.exists()


def test_buttons_refuse_politely_and_foreign_members_are_404(cast: Cast) -> None:
    args = [cast.organisation.public_id, cast.teammate.public_id]
    role, remove = reverse("partners:member-role", args=args), reverse("partners:member-remove", args=args)
    assert "This is not a role." in browser(cast.owner).post(role, {"role": "king"}, follow=True).content.decode()
    assert browser(cast.viewer).post(remove, follow=True).status_code == 200
    assert membership(cast, "teammate").role == "member"
    assert browser(cast.outsider).post(remove).status_code == 404
    foreign = reverse("partners:member-remove", args=[cast.organisation.public_id, cast.outsider.public_id])
    assert browser(cast.owner).post(foreign).status_code == 404
    left = browser(cast.teammate).post(remove, follow=True)
    assert left.redirect_chain[0][0] == reverse("home")
    assert f"You no longer belong to {cast.organisation.name_en}" in left.content.decode()


def test_an_organisation_mails_invitations_within_bounds(cast: Cast) -> None:
    gone = {"organisation": cast.organisation, "expires_at": timezone.now(), "revoked_at": timezone.now()}
    Invitation.objects.bulk_create(
        Invitation(email=f"{n}@x.test", role="member", token_hash=str(n), public_id=f"inv-{n}", **gone)
        for n in range(invitations.MOST_AN_HOUR)
    )
    ask = {"actor": cast.owner, "organisation": cast.organisation, "email": "new@x.test", "role": "member"}
    with pytest.raises(RuleBroken) as caught:
        invitations.invite(**ask)
    assert caught.value.code == "too_many_invitations"
    Invitation.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert invitations.invite(**ask).pk
