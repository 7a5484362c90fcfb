"""The pool of reviewers: invited by mail, their profile kept by themselves or by officers."""

import hashlib
import secrets
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from accounts.models import AgencyRole, RoleGrant, User
from accounts.services import grant_agency_role
from audit.services import record
from common.actors import SystemActor
from common.errors import RuleBroken, WrongState
from common.overtaken import Difference, SavedMeanwhile
from common.permissions import require
from notifications.services import mail_address
from partners.models import Organisation
from proposals.models import FormerEmployer, Proposal, ReviewerInvitation, ReviewerProfile
from proposals.rules import may_assign, may_keep_profile
from proposals.selectors.reviewers import open_invitations

LIFETIME = timedelta(days=14)
MOST_AN_HOUR = 100
MAX_TOPICS = 30
MAX_TOPIC = 40
MAX_EMPLOYERS = 20
MAX_LOAD = 500


@dataclass(frozen=True)
class Expertise:
    """What somebody can judge, and how much of it at a time."""

    purposes: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    load_limit: int = 10


@dataclass(frozen=True)
class ProfileContent:
    """All of a profile. `employers`: (name, last day)."""

    expertise: Expertise
    affiliation: str = ""
    is_available: bool = True
    employers: tuple[tuple[str, date], ...] = ()


@transaction.atomic
def save_profile(*, actor: Any, profile: ReviewerProfile, content: ProfileContent, revision: int) -> ReviewerProfile:
    """Replace what a profile says: the reviewer's own, or any by officers.

    Forbidden; SavedMeanwhile where somebody saved in between; RuleBroken with a field.
    """
    profile = (
        ReviewerProfile.objects.select_for_update(of=("self",), no_key=True).select_related("user").get(pk=profile.pk)
    )
    require(actor, may_keep_profile, profile)
    if profile.revision != revision:
        raise SavedMeanwhile(differences=_differences(profile, content), revision=profile.revision)
    expertise = _checked(content.expertise)
    employers = _checked_employers(content.employers)
    before = {"load_limit": profile.load_limit, "is_available": profile.is_available}
    profile.purposes, profile.topics = list(expertise.purposes), list(expertise.topics)
    profile.load_limit, profile.is_available = expertise.load_limit, content.is_available
    profile.affiliation = unicodedata.normalize("NFC", content.affiliation.strip())[:120]
    profile.revision += 1
    profile.save()
    profile.former_employers.all().delete()
    FormerEmployer.objects.bulk_create(
        FormerEmployer(profile=profile, name=name, until=until, organisation=_known(name)) for name, until in employers
    )
    changes = {
        "load_limit": [before["load_limit"], profile.load_limit],
        "is_available": [before["is_available"], profile.is_available],
        "purposes": profile.purposes,
        "topics": profile.topics,
        "employers": [f"{name} {until}" for name, until in employers],
    }
    record(actor=actor, verb="reviewer.update", target=profile.user, changes=changes)
    return profile


@transaction.atomic
def invite(*, actor: Any, email: str, expertise: Expertise) -> ReviewerInvitation:
    """Invite an address to the pool by mail, for two weeks. Officers.

    Forbidden; RuleBroken for a reviewer, an address with an open invitation, or more than MOST_AN_HOUR by one person.
    """
    require(actor, may_assign)
    email = email.strip().lower()
    expertise = _checked(expertise)
    if RoleGrant.objects.filter(user__email=email, role=AgencyRole.REVIEWER).exists():
        raise RuleBroken(_("This person is a reviewer already."), code="reviewer_already", field="email")
    if open_invitations().filter(email=email).exists():
        raise RuleBroken(
            _("This address has already been invited."),
            remedy=_("Revoke the open invitation first: it stands above the list of reviewers."),
            code="already_invited",
            field="email",
        )
    _check_pace(actor)
    token = secrets.token_urlsafe(32)
    invitation = ReviewerInvitation.objects.create(
        email=email,
        purposes=list(expertise.purposes),
        topics=list(expertise.topics),
        load_limit=expertise.load_limit,
        token_hash=_hash(token),
        invited_by=actor if isinstance(actor, User) else None,
        expires_at=timezone.now() + LIFETIME,
    )
    record(actor=actor, verb="reviewer.invite", target=invitation, changes={"email": email})
    mail_address(
        address=email,
        event="reviewer_invitation",
        context={"days": LIFETIME.days, "inviter": str(actor) if isinstance(actor, User) else ""},
        language=(get_language() or "ko")[:2],
        url=reverse("proposals:reviewer-join", args=[token]),
    )
    return invitation


@transaction.atomic
def revoke(*, actor: Any, invitation: ReviewerInvitation) -> ReviewerInvitation:
    """Make the link worthless. Officers. Forbidden, WrongState."""
    require(actor, may_assign)
    invitation = ReviewerInvitation.objects.select_for_update(no_key=True).get(pk=invitation.pk)
    if not invitation.is_open:
        raise WrongState(_("This invitation has already been used or revoked."))
    invitation.revoked_at = timezone.now()
    invitation.save(update_fields=["revoked_at"])
    record(actor=actor, verb="reviewer.revoke", target=invitation, changes={"email": invitation.email})
    return invitation


@transaction.atomic
def accept(*, actor: User, invitation: ReviewerInvitation) -> ReviewerProfile:
    """The invited person joins the pool, with the role and a profile. WrongState, RuleBroken for another address."""
    invitation = ReviewerInvitation.objects.select_for_update(of=("self",), no_key=True).get(pk=invitation.pk)
    if invitation.email != actor.email.lower():
        raise RuleBroken(
            _("This invitation is for %(email)s.") % {"email": invitation.email},
            remedy=_("Sign in with that address."),
            code="other_address",
        )
    known = ReviewerProfile.objects.filter(user=actor).first()
    if known is not None and invitation.accepted_at:
        return known  # the same link opened twice by the same person
    if not invitation.is_open:
        raise WrongState(
            _("This invitation is no longer valid."), remedy=_("Please ask the agency to send you a new one.")
        )
    invitation.accepted_at = timezone.now()
    invitation.save(update_fields=["accepted_at"])
    grant_agency_role(actor=SystemActor("reviewer invitation"), user=actor, role=AgencyRole.REVIEWER)
    said = {"purposes": invitation.purposes, "topics": invitation.topics, "load_limit": invitation.load_limit}
    profile, _made = ReviewerProfile.objects.update_or_create(user=actor, defaults=said)
    record(actor=actor, verb="reviewer.join", target=actor, changes=said)
    return profile


@transaction.atomic
def profile_for(*, actor: Any, user: User) -> ReviewerProfile:
    """The profile of somebody who holds the role, made where there is none yet. Forbidden."""
    require(actor, may_keep_profile, ReviewerProfile(user=user))
    profile, made = ReviewerProfile.objects.get_or_create(user=user)
    if made:
        record(actor=actor, verb="reviewer.profile", target=user, changes={})
    return profile


def find(token: str) -> ReviewerInvitation | None:
    """The invitation of a mailed token, whatever became of it."""
    return ReviewerInvitation.objects.filter(token_hash=_hash(token)).first()


def _check_pace(actor: Any) -> None:
    """Mail goes to addresses that somebody types: an account that was taken over must not send it without end."""
    since = timezone.now() - timedelta(hours=1)
    by = ReviewerInvitation.objects.filter(created_at__gt=since, invited_by_id=getattr(actor, "pk", None))
    if by.count() >= MOST_AN_HOUR:
        raise RuleBroken(
            _("You have sent %(most)s invitations within an hour.") % {"most": MOST_AN_HOUR},
            remedy=_("Please go on in an hour."),
            code="too_many_invitations",
            facts={"rule": "invitations_an_hour", "most": MOST_AN_HOUR},
        )


def _differences(profile: ReviewerProfile, typed: ProfileContent) -> list[Difference]:
    kinds, yes_no = dict(Proposal.Purpose.choices), {True: _("yes"), False: _("no")}

    def purposes(codes: Iterable[str]) -> str:
        return ", ".join(str(kinds.get(code, code)) for code in codes)

    kept, new = profile, typed.expertise
    employers = "\n".join(f"{row.name}, {row.until}" for row in kept.former_employers.all())
    typed_employers = "\n".join(f"{name}, {until}" for name, until in typed.employers)
    available = (yes_no[kept.is_available], yes_no[typed.is_available])
    return [
        Difference(_("Affiliation"), kept.affiliation, typed.affiliation, "affiliation"),
        Difference(_("Kinds of work"), purposes(kept.purposes), purposes(new.purposes), "purposes"),
        Difference(_("Topics"), ", ".join(kept.topics), ", ".join(new.topics), "topics"),
        Difference(_("Most reviews at a time"), str(kept.load_limit), str(new.load_limit), "load_limit"),
        Difference(_("Can be asked to review now"), *available, "is_available"),
        Difference(_("Former employers"), employers, typed_employers, "employers"),
    ]


def _checked(expertise: Expertise) -> Expertise:
    if set(expertise.purposes) - set(Proposal.Purpose.values):
        raise RuleBroken(_("This is not a purpose."), code="unknown_purpose", field="purposes")
    topics = tuple(dict.fromkeys(unicodedata.normalize("NFC", " ".join(topic.split())) for topic in expertise.topics))
    topics = tuple(topic for topic in topics if topic)
    if len(topics) > MAX_TOPICS or any(len(topic) > MAX_TOPIC for topic in topics):
        raise RuleBroken(
            _("At most %(most)s topics of at most %(length)s characters.") % {"most": MAX_TOPICS, "length": MAX_TOPIC},
            code="too_many_topics",
            field="topics",
        )
    if not 0 <= expertise.load_limit <= MAX_LOAD:
        raise RuleBroken(
            _("This must be a number from %(least)s to %(most)s.") % {"least": 0, "most": MAX_LOAD},
            code="out_of_range",
            field="load_limit",
        )
    return Expertise(tuple(expertise.purposes), topics, expertise.load_limit)


def _checked_employers(rows: tuple[tuple[str, date], ...]) -> list[tuple[str, date]]:
    found = [(unicodedata.normalize("NFC", " ".join(name.split())), until) for name, until in rows]
    if len(found) > MAX_EMPLOYERS or any(not 0 < len(name) <= 120 for name, _until in found):
        raise RuleBroken(
            _("At most %(most)s employers, each with a name of at most 120 characters.") % {"most": MAX_EMPLOYERS},
            code="too_many_employers",
            field="employers",
        )
    return found


def _known(name: str) -> Organisation | None:
    return Organisation.objects.filter(Q(name_ko__iexact=name) | Q(name_en__iexact=name)).first()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
