"""Who belongs to an organisation, and as what. An organisation is never without an owner."""

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rules import may_run_programme
from audit.services import record
from common.errors import Forbidden, RuleBroken
from common.permissions import allowed, require
from notifications.services import notify
from partners.models import Membership, Organisation
from partners.rules import is_owner_of, may_manage
from partners.selectors import owners_of

OWNER = Membership.Role.OWNER


@transaction.atomic
def add_member(*, actor: Any, organisation: Organisation, user: User, role: str) -> Membership:
    """Make somebody a member at once, without an invitation (officers, and the seed). Forbidden, RuleBroken."""
    require(actor, may_run_programme)
    _lock(organisation)
    if organisation.memberships.filter(user=user).exists():
        raise RuleBroken(_("This person already belongs to the organisation."), code="already_member")
    membership = Membership.objects.create(organisation=organisation, user=user, role=Membership.Role(role))
    record(actor=actor, verb="member.add", target=organisation, changes={"user": user.public_id, "role": role})
    return membership


@transaction.atomic
def change_role(*, actor: Any, membership: Membership, role: str) -> Membership:
    """Give a member another role. Only owners (and officers) make or unmake owners. Forbidden, RuleBroken."""
    organisation = membership.organisation
    check_role(role)
    _lock(organisation)
    membership = Membership.objects.select_for_update(no_key=True).select_related("user").get(pk=membership.pk)
    _require_over(actor, organisation, membership.role, role)
    if membership.role == role:
        return membership
    if membership.role == OWNER:
        _keep_an_owner(organisation, membership)
    before, membership.role = membership.role, role
    membership.save(update_fields=["role"])
    changes = {"user": membership.user.public_id, "role": [before, role]}
    record(actor=actor, verb="member.change_role", target=organisation, changes=changes)
    notify(
        recipients=[membership.user],
        event="member_role_changed",
        context={"organisation": organisation.lazy_name, "role": Membership.Role(role).label},
        url=organisation.get_absolute_url(),
    )
    return membership


@transaction.atomic
def remove_member(*, actor: Any, membership: Membership) -> Organisation:
    """Take somebody out; anybody may leave by themselves. The last owner stays. Forbidden, RuleBroken."""
    organisation, user = membership.organisation, membership.user
    _lock(organisation)
    membership = Membership.objects.select_for_update(no_key=True).get(pk=membership.pk)
    if getattr(actor, "pk", None) != user.pk:
        _require_over(actor, organisation, membership.role, membership.role)
    if membership.role == OWNER:
        _keep_an_owner(organisation, membership)
    changes = {"user": user.public_id, "role": membership.role}
    membership.delete()
    record(actor=actor, verb="member.remove", target=organisation, changes=changes)
    notify(
        recipients=[user],
        event="member_removed",
        context={"organisation": organisation.lazy_name},
    )
    return organisation


@transaction.atomic
def transfer_ownership(*, actor: Any, organisation: Organisation, to: Membership) -> Organisation:
    """Make another member the owner; the present owner who does this becomes a manager. Forbidden, RuleBroken."""
    require(actor, is_owner_of, organisation, message=_("Only an owner can hand the ownership over."))
    _lock(organisation)
    rows = {row.user_id: row for row in organisation.memberships.select_for_update(no_key=True).order_by("pk")}
    target, own = rows.get(to.user_id), rows.get(actor.pk)
    if target is None or own is None or own.role != OWNER or not to.user.is_active:
        raise RuleBroken(_("This person does not belong to the organisation."), code="not_a_member", field="member")
    if target.pk == own.pk:
        raise RuleBroken(
            _("You already own the organisation."), remedy=_("Choose somebody else."), code="same_owner", field="member"
        )
    target.role, own.role = OWNER, Membership.Role.MANAGER
    target.save(update_fields=["role"])
    own.save(update_fields=["role"])
    changes = {"from": actor.public_id, "to": to.user.public_id}
    record(actor=actor, verb="organisation.transfer", target=organisation, changes=changes)
    notify(
        recipients=owners_of(organisation),
        event="ownership_transferred",
        context={
            "organisation": organisation.lazy_name,
            "person": str(to.user),
            "by": str(actor),
        },
        url=organisation.get_absolute_url(),
    )
    return organisation


def check_role(role: str) -> None:
    """RuleBroken for a word that is no role."""
    if role not in Membership.Role.values:
        raise RuleBroken(_("This is not a role."), code="unknown_role", field="role")


def require_may_give(actor: Any, organisation: Organisation, role: str) -> None:
    """Forbidden unless the actor may make somebody a `role` there: owners are made by owners and officers only."""
    _require_over(actor, organisation, role, role)


def _require_over(actor: Any, organisation: Organisation, *roles: str) -> None:
    require(actor, may_manage | may_run_programme, organisation)
    if OWNER in roles and not allowed(actor, is_owner_of | may_run_programme, organisation):
        raise Forbidden(_("Only an owner can make or change an owner."))


def _lock(organisation: Organisation) -> None:
    Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)


def _keep_an_owner(organisation: Organisation, leaving: Membership) -> None:
    others = organisation.memberships.filter(role=OWNER, user__is_active=True).exclude(pk=leaving.pk)
    if not others.exists():
        raise RuleBroken(
            _("An organisation is never without an owner, and this is the last one."),
            code="last_owner",
            remedy=_("Make somebody else an owner first."),
            field="role",
        )
