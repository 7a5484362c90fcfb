"""People."""

import base64
import hashlib
from collections.abc import Iterable
from functools import cache

import factory
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import generate_totp_secret
from allauth.mfa.utils import encrypt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.contrib.auth.hashers import make_password

from accounts.models import RoleGrant, SshKey, User

PASSWORD = "a-long-password-of-tests-1"


@cache
def _hashed() -> str:
    """PASSWORD, hashed once: the hash is slow on purpose."""
    return make_password(PASSWORD)


class UserFactory(factory.django.DjangoModelFactory):
    """A person with a verified address; in English, so that tests read messages as the source has them."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    email = factory.Sequence(lambda n: f"person{n}@example.test")
    name = factory.Sequence(lambda n: f"Person {n}")
    language = "en"
    password = factory.LazyFunction(_hashed)

    @factory.post_generation
    def verified(self: User, create: bool, extracted: bool | None, **_kwargs: object) -> None:
        """A verified address unless verified=False is said."""
        if create and extracted is not False:
            EmailAddress.objects.create(user=self, email=self.email, verified=True, primary=True)


def save_people(people: Iterable[User]) -> None:
    """Save what UserFactory has built, each with a verified address."""
    saved = User.objects.bulk_create(people)
    EmailAddress.objects.bulk_create(
        EmailAddress(user=user, email=user.email, verified=True, primary=True) for user in saved
    )


def grant_role(user: User, *roles: str) -> User:
    """Give agency roles; the cached set is forgotten."""
    RoleGrant.objects.bulk_create([RoleGrant(user=user, role=role) for role in roles], ignore_conflicts=True)
    user.__dict__.pop("agency_roles", None)
    return user


def enable_mfa(*users: User) -> str:
    """Switch TOTP on, with the same secret for all of them; the secret. Who has one keeps theirs."""
    secret = generate_totp_secret()
    Authenticator.objects.bulk_create(
        [Authenticator(user=user, type=Authenticator.Type.TOTP, data={"secret": encrypt(secret)}) for user in users],
        ignore_conflicts=True,
    )
    return secret


def _public_key() -> str:
    key = Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


class SshKeyFactory(factory.django.DjangoModelFactory):
    """A real ed25519 public key."""

    class Meta:
        model = SshKey

    user = factory.SubFactory(UserFactory)
    name = factory.Sequence(lambda n: f"laptop {n}")
    public_key = factory.LazyFunction(_public_key)

    @factory.lazy_attribute
    def fingerprint(self) -> str:
        """As ssh-keygen -l shows it."""
        blob = base64.b64decode(self.public_key.split()[1])
        return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
