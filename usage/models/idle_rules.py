"""When GPUs stand idle and what follows: said for the house, a pool or an agreement, in versions."""

from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from cluster.models import Pool
from common.ids import PublicIdField
from partners.models import Agreement
from usage.lifecycle import IDLE_RULE

SHORTEST_GRACE = 3600
"""Seconds: nothing is taken by a rule sooner after its notice."""
VALUES = (
    "window_seconds",
    "idle_percent",
    "measured_percent",
    "counts_parked",
    "counts_hung",
    "first_seconds",
    "grace_seconds",
    "answer_seconds",
    "used_again_seconds",
    "takes_part",
    "follows",
    "returned_percent",
)
"""What a rule says, in the order in which it is shown."""


def _percent(label: Any, default: int, least: int, **kwargs: Any) -> Any:
    bounds = [MinValueValidator(least), MaxValueValidator(100)]
    return models.PositiveSmallIntegerField(label, default=default, validators=bounds, **kwargs)


class IdleRuleQuerySet(models.QuerySet["IdleRule"]):
    def visible_to(self, user: Any) -> "IdleRuleQuerySet":
        """The agency's; a partner reads the words of the rule on its case."""
        return self if user.is_agency else self.none()


class IdleRule(models.Model):
    """One version of one subject's rule. It never changes once it was switched on: the next version replaces it.

    The narrowest subject's rule holds whole: an agreement's before its pool's, a pool's before the house's. What a
    minute was (used, idle, parked, hung, a gap, ill, maintained) is decided by the evidence, with the idle power that
    was learned for each model; the rule says how much of it, how long, and what follows.
    """

    class Follows(models.TextChoices):
        NOTICE = "notice", _("the members are told, nothing more")
        PROPOSE = "propose", _("an officer decides whether they are taken back")
        TAKE = "take", _("they are taken back without another word")

    public_id = PublicIdField(prefix="idlerule")
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    agreement = models.ForeignKey(Agreement, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    version = models.PositiveIntegerField(_("version"), help_text="counts the drafts of one subject")
    state = models.CharField(_("state"), max_length=20, choices=IDLE_RULE.choices(), default=IDLE_RULE.initial)
    window_seconds = models.PositiveIntegerField(_("idle for so long"), default=4 * 3600)
    idle_percent = _percent(_("of it idle, at least, %"), 95, 50)
    measured_percent = _percent(_("of it measured, at least, %"), 90, 50)
    counts_parked = models.BooleanField(_("memory held without work counts as idle"), default=True)
    counts_hung = models.BooleanField(_("hung programs count as idle"), default=False)
    first_seconds = models.PositiveIntegerField(_("left alone after the handover"), default=24 * 3600)
    grace_seconds = models.PositiveIntegerField(_("time to answer after the notice"), default=24 * 3600)
    answer_seconds = models.PositiveIntegerField(_("time for the officers to answer an appeal"), default=72 * 3600)
    used_again_seconds = models.PositiveIntegerField(_("use after the notice that ends the case"), default=1800)
    takes_part = models.BooleanField(_("single GPUs of a reservation, too"), default=True)
    follows = models.CharField(_("what follows"), max_length=10, choices=Follows, default=Follows.PROPOSE)
    returned_percent = models.PositiveSmallIntegerField(
        _("of the rest of the window credited, %"), default=100, validators=[MaxValueValidator(100)]
    )
    tried = models.JSONField(null=True, blank=True, help_text="what it would have done, as it was shown last")
    tried_at = models.DateTimeField(_("tried out"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=300, help_text="why it was written as it is")
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(_("written"), auto_now_add=True)
    on_at = models.DateTimeField(_("on since"), null=True, blank=True)
    on_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    on_reason = models.CharField(max_length=300, blank=True, help_text="why it was switched on")
    off_at = models.DateTimeField(_("off since"), null=True, blank=True)
    off_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    off_reason = models.CharField(max_length=300, blank=True, help_text="why it was switched off; replaced: empty")

    objects = IdleRuleQuerySet.as_manager()

    class Meta:
        ordering = ["-made_at", "-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(pool=None) | Q(agreement=None), name="idle_rule_of_one_subject"),
            models.CheckConstraint(
                condition=Q(grace_seconds__gte=SHORTEST_GRACE, window_seconds__gte=3600), name="idle_rule_gives_time"
            ),
            models.CheckConstraint(
                condition=Q(idle_percent__gte=50, idle_percent__lte=100)
                & Q(measured_percent__gte=50, measured_percent__lte=100, returned_percent__lte=100),
                name="idle_rule_percents",
            ),
            models.CheckConstraint(
                condition=Q(state__in=("draft", "discarded")) | Q(tried_at__isnull=False, on_at__isnull=False),
                name="idle_rule_is_tried_first",
            ),
            models.UniqueConstraint(
                fields=["pool", "agreement", "version"], nulls_distinct=False, name="idle_rule_versions"
            ),
            models.UniqueConstraint(
                fields=["pool", "agreement"],
                condition=Q(state="on"),
                nulls_distinct=False,
                name="one_idle_rule_on",
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    def get_absolute_url(self) -> str:
        return reverse("usage:idle-rule", args=[self.public_id])

    @property
    def scope(self) -> str:
        """Whose rule it is: house, pool or agreement."""
        if self.agreement_id is not None:
            return "agreement"
        return "house" if self.pool_id is None else "pool"

    @property
    def subject(self) -> Any:
        """The pool or the agreement; None: the house."""
        return self.agreement if self.agreement_id is not None else self.pool

    @property
    def subject_name(self) -> Any:
        """For pages and lists."""
        return _("every pool") if self.subject is None else str(self.subject)

    @property
    def values(self) -> dict[str, Any]:
        """What it says, by name."""
        return {name: getattr(self, name) for name in VALUES}
