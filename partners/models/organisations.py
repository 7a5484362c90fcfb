"""Organisations and their people."""

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import lazy
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from common.ids import PublicIdField

_WEIGHTS = (1, 3, 7, 1, 3, 7, 1, 3, 5)


def check_registration_number(value: str) -> None:
    """Korean business registration number: ten digits, the last one a check digit (National Tax Service rule)."""
    digits = [int(char) for char in value if char.isdigit()]
    if len(digits) != 10 or not all(char.isdigit() or char == "-" for char in value):
        raise ValidationError(_("A business registration number has ten digits, like 123-45-67891."))
    total = sum(digit * weight for digit, weight in zip(digits, _WEIGHTS, strict=False)) + digits[8] * 5 // 10
    if (10 - total % 10) % 10 != digits[9]:
        raise ValidationError(_("The check digit of this business registration number is wrong. Please look again."))


def _name_of(organisation: "Organisation") -> str:
    return organisation.name


lazystr_of = lazy(_name_of, str)


class OrganisationQuerySet(models.QuerySet["Organisation"]):
    def visible_to(self, user: Any) -> "OrganisationQuerySet":
        """Agency staff see all, others those they belong to."""
        return self if user.is_agency else self.filter(pk__in=organisation_ids_of(user))


class Organisation(models.Model):
    """A partner startup, or the agency itself."""

    class Kind(models.TextChoices):
        PARTNER = "partner", _("partner")
        AGENCY = "agency", _("agency")

    class Size(models.TextChoices):
        """As the Framework Act on Small and Medium Enterprises sorts companies; institutions beside it."""

        MICRO = "micro", _("micro enterprise")
        SMALL = "small", _("small enterprise")
        MEDIUM = "medium", _("medium enterprise")
        MIDDLE = "middle", _("middle-standing enterprise")
        LARGE = "large", _("large enterprise")
        INSTITUTION = "institution", _("university or research institution")

    class Region(models.TextChoices):
        """The seventeen provinces and cities of the first order."""

        SEOUL = "seoul", _("Seoul")
        BUSAN = "busan", _("Busan")
        DAEGU = "daegu", _("Daegu")
        INCHEON = "incheon", _("Incheon")
        GWANGJU = "gwangju", _("Gwangju")
        DAEJEON = "daejeon", _("Daejeon")
        ULSAN = "ulsan", _("Ulsan")
        SEJONG = "sejong", _("Sejong")
        GYEONGGI = "gyeonggi", _("Gyeonggi")
        GANGWON = "gangwon", _("Gangwon")
        CHUNGBUK = "chungbuk", _("Chungbuk")
        CHUNGNAM = "chungnam", _("Chungnam")
        JEONBUK = "jeonbuk", _("Jeonbuk")
        JEONNAM = "jeonnam", _("Jeonnam")
        GYEONGBUK = "gyeongbuk", _("Gyeongbuk")
        GYEONGNAM = "gyeongnam", _("Gyeongnam")
        JEJU = "jeju", _("Jeju")

    public_id = PublicIdField(prefix="org")
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices, default=Kind.PARTNER)
    name_ko = models.CharField(_("name in Korean"), max_length=120)
    name_en = models.CharField(_("name in English"), max_length=120)
    registration_number = models.CharField(
        _("business registration number"), max_length=10, unique=True, validators=[check_registration_number]
    )
    size = models.CharField(_("company size"), max_length=12, choices=Size.choices, blank=True)
    region = models.CharField(_("region"), max_length=12, choices=Region.choices, blank=True)
    founded_on = models.DateField(_("founded on"), null=True, blank=True)
    revision = models.PositiveIntegerField(default=1, help_text="one more with each change")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OrganisationQuerySet.as_manager()

    class Meta:
        ordering = ["name_ko"]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """The name in the reader's language."""
        return self.name_en if (get_language() or "ko").startswith("en") else self.name_ko

    @property
    def lazy_name(self) -> Any:
        """The name, in the language of the page or mail that will one day show it."""
        return lazystr_of(self)

    @property
    def shown_registration_number(self) -> str:
        """123-45-67891, as people write it."""
        digits = self.registration_number
        return f"{digits[:3]}-{digits[3:5]}-{digits[5:]}"

    def get_absolute_url(self) -> str:
        return reverse("partners:organisation", args=[self.public_id])


class Membership(models.Model):
    """A person's role in one organisation."""

    class Role(models.TextChoices):
        OWNER = "owner", _("owner")
        MANAGER = "manager", _("manager")
        MEMBER = "member", _("member")
        VIEWER = "viewer", _("viewer")

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(_("role"), max_length=10, choices=Role.choices)
    department = models.ForeignKey(
        "Department",
        on_delete=models.SET_NULL,
        related_name="memberships",
        null=True,
        blank=True,
        verbose_name=_("department"),
    )
    joined_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["organisation_id", "joined_at"]
        constraints = [models.UniqueConstraint(fields=["organisation", "user"], name="one_membership_per_organisation")]

    def __str__(self) -> str:
        return f"{self.user} {self.role} {self.organisation}"


class Invitation(models.Model):
    """An invitation by mail; the token is kept hashed and dies after a week or its use."""

    public_id = PublicIdField(prefix="inv")
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField(_("e-mail address"))
    role = models.CharField(_("role"), max_length=10, choices=Membership.Role.choices)
    token_hash = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.email} -> {self.organisation}"

    @property
    def is_expired(self) -> bool:
        """Whether its week is over."""
        return self.expires_at <= timezone.now()


def organisation_ids_of(user: Any) -> models.QuerySet[Membership, Any]:
    """A subquery of the ids of the organisations that a person belongs to."""
    return Membership.objects.filter(user_id=user.pk).values("organisation_id")
