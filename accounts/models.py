"""People and their keys."""

from typing import Any, ClassVar
from zoneinfo import available_timezones

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from knox.models import AbstractAuthToken

from common.ids import PublicIdField
from common.texts import one_line


def check_time_zone(value: str) -> None:
    """A name of the IANA database."""
    if value not in available_timezones():
        raise ValidationError(_("This is not a time zone like Asia/Seoul."))


class UserQuerySet(models.QuerySet["User"]):
    def visible_to(self, user: "User") -> "UserQuerySet":
        """Agency staff see everybody, others only themselves (teams go through partners.Membership)."""
        return self if user.is_agency else self.filter(pk=user.pk)


class UserManager(BaseUserManager["User"]):
    def get_queryset(self) -> UserQuerySet:
        return UserQuerySet(self.model, using=self._db)

    def visible_to(self, user: "User") -> UserQuerySet:
        """See UserQuerySet.visible_to."""
        return self.get_queryset().visible_to(user)

    def create_user(self, email: str, password: str | None = None, **extra: Any) -> "User":
        """A user by e-mail address; an unusable password where none is given."""
        extra["name"] = one_line(extra.get("name", ""))
        user = self.model(email=self.normalize_email(email).lower(), **extra)
        user.set_password(password)
        user.full_clean(exclude=["password"])
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **extra: Any) -> "User":
        """For `manage.py createsuperuser`."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **extra)


class User(AbstractBaseUser, PermissionsMixin):
    """A person. Signs in by e-mail address."""

    public_id = PublicIdField(prefix="user")
    email = models.EmailField(_("e-mail address"), unique=True)
    name = models.CharField(_("name"), max_length=80)
    language = models.CharField(_("language"), max_length=5, choices=settings.LANGUAGES, default="ko")
    time_zone = models.CharField(_("time zone"), max_length=60, default="Asia/Seoul", validators=[check_time_zone])
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False, help_text=_("may open /admin/"))
    date_joined = models.DateTimeField(default=timezone.now)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    def __str__(self) -> str:
        return self.name or self.email

    @property
    def label(self) -> str:
        """How the audit log names this person."""
        return self.email

    @cached_property
    def agency_roles(self) -> frozenset[str]:
        """The roles that this person holds in the agency; one query a request."""
        return frozenset(self.role_grants.values_list("role", flat=True))

    @property
    def is_agency(self) -> bool:
        """Whether this person works for the agency (reviewers see only what is assigned to them)."""
        return bool(self.agency_roles - {AgencyRole.REVIEWER})

    @property
    def needs_mfa(self) -> bool:
        """Every account with an agency role must use a second factor."""
        return bool(self.agency_roles) or self.is_superuser


class AgencyRole(models.TextChoices):
    """What a person may do for the agency."""

    REVIEWER = "reviewer", _("reviewer")
    OFFICER = "officer", _("programme officer")
    OPERATOR = "operator", _("operator")
    AUDITOR = "auditor", _("auditor")
    ADMINISTRATOR = "administrator", _("administrator")


class RoleGrant(models.Model):
    """One agency role of one person."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="role_grants")
    role = models.CharField(max_length=20, choices=AgencyRole.choices)
    granted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "role"], name="role_once_per_user")]

    def __str__(self) -> str:
        return f"{self.user} {self.role}"


class SshKeyQuerySet(models.QuerySet["SshKey"]):
    def visible_to(self, user: User) -> "SshKeyQuerySet":
        """One's own only."""
        return self.filter(user=user)


class SshKey(models.Model):
    """A public key that a person signs in to nodes with; the private half never comes here."""

    public_id = PublicIdField(prefix="key")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="ssh_keys")
    name = models.CharField(_("name"), max_length=60)
    public_key = models.TextField(_("public key"), max_length=2000)
    fingerprint = models.CharField(max_length=80)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SshKeyQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["user", "fingerprint"], name="ssh_key_once_per_user")]

    def __str__(self) -> str:
        return f"{self.name} ({self.fingerprint})"


class ApiToken(AbstractAuthToken):
    """A bearer token for the API: kept hashed, shown once, with a name and an end."""

    public_id = PublicIdField(prefix="token")
    name = models.CharField(_("name"), max_length=60, default="")

    class Meta:
        ordering = ["-created"]
