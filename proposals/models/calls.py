"""Invitations to propose."""

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import lazy
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from cluster.models import Pool
from common.ids import PublicIdField
from partners.models import Organisation


class CallQuerySet(models.QuerySet["Call"]):
    def visible_to(self, user: Any) -> "CallQuerySet":
        """Staff see all; everybody else those that are or were published."""
        return self if user.is_agency else self.filter(published_at__lte=timezone.now())


class Call(models.Model):
    """An invitation to propose: open rolling, or one round with a cut-off."""

    class FastLane(models.TextChoices):
        """How asks below `fast_lane_gpu_seconds` are decided."""

        OFF = "off", _("like all others")
        OFFICER = "officer", _("by an officer alone, without review")
        AUTOMATIC = "automatic", _("at once, where the agreement and the capacity allow it")

    class Sees(models.TextChoices):
        """What of other reviewers' work a reviewer may read."""

        OWN = "own", _("their own")
        AFTER_OWN = "after_own", _("the others' once their own is in")
        ALL = "all", _("everybody's")

    public_id = PublicIdField(prefix="call")
    title_ko = models.CharField(max_length=200)
    title_en = models.CharField(max_length=200)
    text_ko = models.TextField(blank=True)
    text_en = models.TextField(blank=True)
    contact = models.CharField(
        max_length=200, blank=True, help_text="whom to ask: an address or a number, shown to all"
    )
    previous = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="following",
        help_text="the round that it was copied from",
    )
    pools = models.ManyToManyField(Pool, related_name="calls", through="proposals.CallPool")
    published_at = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(null=True, blank=True, help_text="when those who may propose were told of it")
    closes_at = models.DateTimeField(null=True, blank=True, help_text="empty: rolling")
    cancelled_at = models.DateTimeField(null=True, blank=True, help_text="a draft that nobody wants any more")
    cancel_reason = models.TextField(blank=True, help_text="why, for the agency")
    # Who may propose. An empty list: no condition.
    sizes = ArrayField(models.CharField(max_length=12, choices=Organisation.Size.choices), default=list, blank=True)
    regions = ArrayField(models.CharField(max_length=12, choices=Organisation.Region.choices), default=list, blank=True)
    most_years = models.PositiveSmallIntegerField(null=True, blank=True, help_text="since the founding")
    most_proposals = models.PositiveSmallIntegerField(null=True, blank=True, help_text="of one organisation")
    smallest_gpu_seconds = models.BigIntegerField(null=True, blank=True, help_text="of one proposal")
    largest_gpu_seconds = models.BigIntegerField(null=True, blank=True, help_text="of one proposal")
    fast_lane = models.CharField(max_length=10, choices=FastLane.choices, default=FastLane.OFF)
    fast_lane_gpu_seconds = models.BigIntegerField(default=0, help_text="asks of at most so much take it")
    held_back_percent = models.PositiveSmallIntegerField(
        default=0, help_text="of each award, until a progress report is accepted"
    )
    reviews_needed = models.PositiveSmallIntegerField(default=3, help_text="of each proposal")
    blind = models.BooleanField(default=False, help_text="reviewers do not learn whose proposal it is")
    reviewers_see = models.CharField(max_length=10, choices=Sees.choices, default=Sees.AFTER_OWN)
    two_person_gpu_seconds = models.BigIntegerField(
        null=True, blank=True, help_text="awards of at least so much need a second officer"
    )
    answer_days = models.PositiveSmallIntegerField(default=14, help_text="to accept or refuse an award")

    objects = CallQuerySet.as_manager()

    class Meta:
        ordering = ["-published_at"]
        constraints = [
            models.CheckConstraint(condition=Q(held_back_percent__lte=90), name="call_holds_back_a_part"),
            models.CheckConstraint(
                condition=Q(largest_gpu_seconds__gte=F("smallest_gpu_seconds")), name="call_sizes_in_order"
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def title(self) -> str:
        """In the reader's language."""
        return self.title_en if (get_language() or "ko").startswith("en") else self.title_ko

    @property
    def lazy_title(self) -> Any:
        """The title, in the language of the page or mail that will one day show it."""
        return lazy(lambda: self.title, str)()

    @property
    def told_apart(self) -> str:
        """Title, days (the agency's; open-ended where it is rolling) and number: rounds of one title are told apart."""
        day = timezone.get_default_timezone()
        first, last = (f"{timezone.localdate(at, day)}" if at else "" for at in (self.published_at, self.closes_at))
        days = f"{first} – {last}".strip() if first or last else _("not published yet")
        return f"{self.title} ({days}, {self.public_id})"

    @property
    def text(self) -> str:
        """In the reader's language."""
        return self.text_en if (get_language() or "ko").startswith("en") else self.text_ko

    @property
    def is_open(self) -> bool:
        """Whether it takes proposals now."""
        return self.stage == "open"

    @property
    def stage(self) -> str:
        """draft, announced (published from a later moment on), open, over, or cancelled: where it stands now."""
        now = timezone.now()
        if self.cancelled_at:
            return "cancelled"
        if self.published_at is None:
            return "draft"
        if self.published_at > now:
            return "announced"
        return "over" if self.closes_at is not None and self.closes_at <= now else "open"

    def get_absolute_url(self) -> str:
        return reverse("proposals:call", args=[self.public_id])


class CallPool(models.Model):
    """A pool that a call offers, and how much of it."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="offers")
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="+")
    budget_gpu_seconds = models.BigIntegerField(_("budget, GPU-hours"), null=True, blank=True, help_text="empty: open")

    class Meta:
        ordering = ["pool__name"]
        constraints = [
            models.UniqueConstraint(fields=["call", "pool"], name="call_pool_once"),
            models.CheckConstraint(condition=Q(budget_gpu_seconds__gt=0), name="call_budget_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.pool_id} of {self.call_id}"


class InBothLanguages(models.Model):
    """A label with its explanation, in Korean and English."""

    label_ko = models.CharField(max_length=300)
    label_en = models.CharField(max_length=300)
    help_ko = models.CharField(max_length=1000, blank=True)
    help_en = models.CharField(max_length=1000, blank=True)

    class Meta:
        abstract = True

    @property
    def label(self) -> str:
        """In the reader's language."""
        return self.label_en if (get_language() or "ko").startswith("en") else self.label_ko

    @property
    def help(self) -> str:
        """In the reader's language."""
        return self.help_en if (get_language() or "ko").startswith("en") else self.help_ko


class Criterion(InBothLanguages):
    """What reviewers score, on a scale from 0 to `scale`, with its weight in the sum."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="criteria")
    place = models.PositiveSmallIntegerField()
    weight = models.PositiveSmallIntegerField(default=1)
    scale = models.PositiveSmallIntegerField(default=10)
    comment_needed = models.BooleanField(default=False)

    class Meta:
        ordering = ["place"]
        constraints = [
            models.UniqueConstraint(fields=["call", "place"], name="criterion_place_once"),
            models.CheckConstraint(condition=Q(weight__gt=0) & Q(scale__gt=0), name="criterion_counts"),
        ]

    def __str__(self) -> str:
        return self.label


class Question(InBothLanguages):
    """What a call asks beyond the common form."""

    class Kind(models.TextChoices):
        TEXT = "text", _("text")
        NUMBER = "number", _("number")
        CHOICE = "choice", _("choice")
        YES_NO = "yes_no", _("yes or no")
        FILE = "file", _("file")

    public_id = PublicIdField(prefix="qu")
    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="questions")
    place = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=10, choices=Kind.choices)
    is_required = models.BooleanField(default=False)
    choices_ko = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    choices_en = ArrayField(models.CharField(max_length=200), default=list, blank=True)

    class Meta:
        ordering = ["place"]
        constraints = [models.UniqueConstraint(fields=["call", "place"], name="question_place_once")]

    def __str__(self) -> str:
        return self.label


class CallStep(models.Model):
    """A step between submission and answer that a call takes; a call without a row for it leaves it out."""

    class Kind(models.TextChoices):
        FORMAL = "formal", _("formal check")
        TECHNICAL = "technical", _("technical check")
        EXPERT = "expert", _("expert review")
        PANEL = "panel", _("panel")

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="steps")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    due_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["call", "kind"], name="call_step_once")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.call_id}"


class CallDocument(models.Model):
    """A file that goes with a call: terms, a form, an example."""

    public_id = PublicIdField(prefix="doc")
    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="documents")
    file = models.FileField(upload_to="calls/%Y/")
    name = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    added_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.name


class CallDate(InBothLanguages):
    """A day of a call's time line that is not one of its own cut-offs."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="dates")
    on = models.DateField()

    class Meta:
        ordering = ["on", "pk"]

    def __str__(self) -> str:
        return f"{self.on} {self.label}"
