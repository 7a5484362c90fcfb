"""Invitations by mail: the token is in the mail only, we keep its hash."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rules import may_run_programme
from audit.services import record
from common.errors import RuleBroken, WrongState
from common.permissions import require
from notifications.services import mail_address, notify
from partners.models import Invitation, Membership, Organisation
from partners.rules import may_manage
from partners.services.members import check_role, require_may_give

LIFETIME = timedelta(days=7)
MAX_OPEN = 50
MOST_AN_HOUR = 60  # of one organisation, revoked ones included: each was a mail to an address that somebody typed
RESEND_AFTER = timedelta(minutes=10)


@transaction.atomic
def invite(*, actor: Any, organisation: Organisation, email: str, role: str) -> Invitation:
    """Invite an address by mail for a week. Forbidden, RuleBroken."""
    check_role(role)
    require_may_give(actor, organisation, role)
    Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)
    email = email.strip().lower()
    if organisation.memberships.filter(user__email=email).exists():
        raise RuleBroken(_("This person already belongs to the organisation."), code="already_member", field="email")
    waiting = organisation.invitations.filter(accepted_at=None, revoked_at=None)
    if waiting.filter(email=email).exists():
        raise RuleBroken(
            _("This address has already been invited."),
            code="already_invited",
            remedy=_("Send the open invitation again, or revoke it first."),
            field="email",
        )
    if waiting.count() >= MAX_OPEN:
        raise RuleBroken(
            _("Fifty invitations are already open."),
            code="too_many_invitations",
            remedy=_("Revoke some of them first."),
        )
    if organisation.invitations.filter(created_at__gt=timezone.now() - timedelta(hours=1)).count() >= MOST_AN_HOUR:
        raise RuleBroken(
            _("%(most)s invitations of this organisation were sent within an hour.") % {"most": MOST_AN_HOUR},
            code="too_many_invitations",
            remedy=_("Please go on in an hour."),
            facts={"rule": "invitations_an_hour", "most": MOST_AN_HOUR},
        )
    invitation = Invitation(organisation=organisation, email=email, role=role)
    invitation.invited_by = actor if isinstance(actor, User) else None
    _send(invitation, actor)
    record(actor=actor, verb="invitation.send", target=organisation, changes={"email": email, "role": role})
    return invitation


@transaction.atomic
def resend(*, actor: Any, invitation: Invitation) -> Invitation:
    """Mail a new link for another week; the old link dies.

    Forbidden; WrongState; RuleBroken within RESEND_AFTER of the last mail to this address.
    """
    invitation = _lock_open(actor, invitation)
    require_may_give(actor, invitation.organisation, invitation.role)
    if invitation.expires_at - LIFETIME > timezone.now() - RESEND_AFTER:
        raise RuleBroken(
            _("A mail has just been sent to this address."),
            code="resent_lately",
            remedy=_(
                "It can be sent again %(minutes)s minutes later; please look into the folder for unwanted mail, too."
            )
            % {"minutes": RESEND_AFTER.seconds // 60},
        )
    _send(invitation, actor)
    record(actor=actor, verb="invitation.resend", target=invitation, changes={"email": invitation.email})
    return invitation


@transaction.atomic
def revoke(*, actor: Any, invitation: Invitation) -> Invitation:
    """Make the link worthless. Forbidden, WrongState."""
    invitation = _lock_open(actor, invitation)
    invitation.revoked_at = timezone.now()
    invitation.save(update_fields=["revoked_at"])
    record(actor=actor, verb="invitation.revoke", target=invitation, changes={"email": invitation.email})
    return invitation


@transaction.atomic
def accept(*, actor: User, invitation: Invitation, now: datetime | None = None) -> Membership:
    """The invited person joins. WrongState for a dead invitation, RuleBroken for another address."""
    organisation = Organisation.objects.select_for_update(no_key=True).get(pk=invitation.organisation_id)
    invitation = Invitation.objects.select_for_update(no_key=True).get(pk=invitation.pk)
    if invitation.email != actor.email.lower():
        raise RuleBroken(
            _("This invitation is for %(email)s.") % {"email": invitation.email},
            code="other_address",
            remedy=_("Sign in with that address."),
        )
    member = organisation.memberships.filter(user=actor).first()
    if member and invitation.accepted_at:
        return member  # the same link opened twice by the same person
    if not is_open(invitation, now or timezone.now()):
        raise WrongState(
            _("This invitation is no longer valid."), remedy=_("Please ask the organisation to send you a new one.")
        )
    invitation.accepted_at = now or timezone.now()
    invitation.save(update_fields=["accepted_at"])
    member = member or Membership.objects.create(organisation=organisation, user=actor, role=invitation.role)
    record(actor=actor, verb="member.join", target=organisation, changes={"role": member.role})
    notify(
        recipients=[invitation.invited_by] if invitation.invited_by else [],
        event="invitation_accepted",
        context={
            "organisation": organisation.lazy_name,
            "person": actor.name or actor.email,
            "email": actor.email,
        },
        url=organisation.get_absolute_url(),
    )
    return member


def find(token: str) -> Invitation | None:
    """The invitation of a mailed token, whatever became of it."""
    return Invitation.objects.select_related("organisation", "invited_by").filter(token_hash=_hash(token)).first()


def is_open(invitation: Invitation, now: datetime) -> bool:
    """Whether it can still be accepted."""
    return invitation.accepted_at is None and invitation.revoked_at is None and invitation.expires_at > now


def _lock_open(actor: Any, invitation: Invitation) -> Invitation:
    require(actor, may_manage | may_run_programme, invitation.organisation)
    invitation = (
        Invitation.objects.select_for_update(of=("self",), no_key=True)
        .select_related("organisation")
        .get(pk=invitation.pk)
    )
    if invitation.accepted_at or invitation.revoked_at:
        raise WrongState(_("This invitation has already been used or revoked."))
    return invitation


def _send(invitation: Invitation, actor: Any) -> None:
    token = secrets.token_urlsafe(32)
    invitation.token_hash = _hash(token)
    invitation.expires_at = timezone.now() + LIFETIME
    invitation.save()
    organisation = invitation.organisation
    mail_address(
        address=invitation.email,
        event="invitation",
        context={
            "organisation": organisation.lazy_name,
            "inviter": str(actor) if isinstance(actor, User) else "",
            "role": Membership.Role(invitation.role).label,
            "days": LIFETIME.days,
        },
        language=(get_language() or "ko")[:2],
        url=reverse("partners:invitation", args=[token]),
    )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
