"""Verbs on one's own account."""

import base64
from datetime import timedelta
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_ssh_public_key, ssh_key_fingerprint
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import AgencyRole, ApiToken, RoleGrant, SshKey, User
from accounts.rules import is_administrator
from audit.services import record
from common.errors import RuleBroken
from common.permissions import require
from common.texts import one_line

MIN_RSA_BITS = 3072
MAX_NAME = 80
MAX_LABEL = 60  # what a key or a token is called
MAX_SSH_KEYS = 10
MAX_API_TOKENS = 20


def clean_name(text: str, most: int = MAX_NAME) -> str:
    """A name as it is kept, of a person or of what is theirs: on one line, with nothing in it that turns or hides what
    stands beside it. RuleBroken where nothing is left of it, or more than `most` characters.
    """
    name = one_line(text)
    if not name:
        raise RuleBroken(
            _("This name has no letters that can be seen."),
            remedy=_("Write it as others should read it."),
            field="name",
            code="name_missing",
        )
    if len(name) > most:  # composing can make it longer than what was counted in the form
        raise RuleBroken(
            _("This name has %(length)s characters, and %(most)s at most are kept.")
            % {"length": len(name), "most": most},
            field="name",
            code="name_too_long",
        )
    return name


def parse_public_key(text: str) -> tuple[str, str]:
    """(normalised `type base64`, `SHA256:…` fingerprint) of an OpenSSH public key.

    RuleBroken for anything else, a private key above all, and for RSA under 3072 bits.
    """
    if "PRIVATE KEY" in text:
        raise RuleBroken(
            _("This is a private key. Never give it to anybody."),
            remedy=_("Paste the public half, the file that ends in .pub."),
            field="public_key",
            code="private_key",
        )
    words = text.split()
    try:
        key = load_ssh_public_key(" ".join(words[:2]).encode())
        fingerprint = "SHA256:" + _unpadded(ssh_key_fingerprint(key, SHA256()))
    except (ValueError, UnsupportedAlgorithm, TypeError):
        raise RuleBroken(
            _("This is not an OpenSSH public key."),
            remedy=_("It looks like “ssh-ed25519 AAAA…”. Make one with: ssh-keygen -t ed25519"),
            field="public_key",
            code="bad_public_key",
        ) from None
    if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise RuleBroken(
            _("This RSA key is too short."),
            remedy=_("Use ssh-ed25519, or RSA with 3072 bits or more."),
            field="public_key",
            code="weak_public_key",
        )
    return " ".join(words[:2]), fingerprint


def _unpadded(digest: bytes) -> str:
    return base64.b64encode(digest).decode().rstrip("=")


@transaction.atomic
def add_ssh_key(*, actor: User, name: str, public_key: str) -> SshKey:
    """Keep a public key of the actor's."""
    name = clean_name(name, MAX_LABEL)
    line, fingerprint = parse_public_key(public_key)
    User.objects.select_for_update(no_key=True).get(pk=actor.pk)
    if actor.ssh_keys.count() >= MAX_SSH_KEYS:
        raise RuleBroken(_("You already have ten keys."), remedy=_("Remove one first."), code="too_many_keys")
    if actor.ssh_keys.filter(fingerprint=fingerprint).exists():
        raise RuleBroken(_("You have already added this key."), field="public_key", code="duplicate_key")
    key = SshKey.objects.create(user=actor, name=name, public_key=line, fingerprint=fingerprint)
    record(actor=actor, verb="ssh_key.add", target=key, changes={"fingerprint": fingerprint, "name": name})
    return key


@transaction.atomic
def remove_ssh_key(*, actor: User, key: SshKey) -> None:
    """Forget a public key; certificates already given for it end with their lease."""
    record(actor=actor, verb="ssh_key.remove", target=key, changes={"fingerprint": key.fingerprint})
    key.delete()


@transaction.atomic
def create_api_token(*, actor: User, name: str, days: int) -> tuple[ApiToken, str]:
    """(row, secret): the secret is shown once and kept only as a hash. `days` 1 to 365."""
    if not 1 <= days <= 365:
        raise RuleBroken(_("A token may live for 1 to 365 days."), field="days", code="token_lifetime")
    name = clean_name(name, MAX_LABEL)
    User.objects.select_for_update(no_key=True).get(pk=actor.pk)
    if ApiToken.objects.filter(user=actor, expiry__gt=timezone.now()).count() >= MAX_API_TOKENS:
        raise RuleBroken(_("You already have twenty tokens."), remedy=_("Revoke one first."), code="too_many_tokens")
    token, secret = ApiToken.objects.create(user=actor, expiry=timedelta(days=days), name=name)
    record(actor=actor, verb="api_token.create", target=token, changes={"name": name, "days": days})
    return token, secret


@transaction.atomic
def revoke_api_token(*, actor: User, token: ApiToken) -> None:
    """End a token now."""
    record(actor=actor, verb="api_token.revoke", target=token, changes={"name": token.name})
    token.delete()


@transaction.atomic
def update_profile(*, actor: User, name: str, language: str, time_zone: str) -> User:
    """Change how the portal speaks to the actor. RuleBroken for a name that nobody could read."""
    user = User.objects.select_for_update(no_key=True).get(pk=actor.pk)
    changes: dict[str, Any] = {}
    name = user.name if name == user.name else clean_name(name)  # who only changes the language is asked nothing
    for attribute, value in (("name", name), ("language", language), ("time_zone", time_zone)):
        if getattr(user, attribute) != value:
            changes[attribute] = [getattr(user, attribute), value]
            setattr(user, attribute, value)
    if changes:
        user.save(update_fields=list(changes))
        record(actor=actor, verb="user.update", target=user, changes=changes)
    return user


@transaction.atomic
def grant_agency_role(*, actor: Any, user: User, role: str) -> RoleGrant:
    """Give a person an agency role. Administrators only."""
    require(actor, is_administrator)
    grant, created = RoleGrant.objects.get_or_create(user=user, role=AgencyRole(role).value)
    if created:
        record(actor=actor, verb="role.grant", target=user, changes={"role": role})
    return grant


@transaction.atomic
def revoke_agency_role(*, actor: Any, user: User, role: str) -> None:
    """Take an agency role away. The last administrator stays."""
    require(actor, is_administrator)
    holders = RoleGrant.objects.select_for_update(no_key=True).filter(role=AgencyRole.ADMINISTRATOR)
    if role == AgencyRole.ADMINISTRATOR and holders.exclude(user=user).count() == 0:
        raise RuleBroken(_("The last administrator cannot be removed."), code="last_administrator")
    if RoleGrant.objects.filter(user=user, role=role).delete()[0]:
        record(actor=actor, verb="role.revoke", target=user, changes={"role": role})
