"""What partners ask for."""

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from cluster.models import GpuClass
from common.ids import PublicIdField
from partners.models import Agreement, Organisation, organisation_ids_of
from proposals.canonical import fingerprint
from proposals.lifecycle import PROPOSAL
from proposals.models.calls import Call


class ProposalQuerySet(models.QuerySet["Proposal"]):
    def visible_to(self, user: Any) -> "ProposalQuerySet":
        """Agency staff see what was ever submitted, partners those of their organisations, drafts included."""
        mine = Q(organisation_id__in=organisation_ids_of(user))
        return self.filter(mine | Q(submitted_at__isnull=False)) if user.is_agency else self.filter(mine)


class Proposal(models.Model):
    """A project's ask."""

    class Purpose(models.TextChoices):
        PREPROCESSING = "preprocessing", _("data preprocessing")
        PRETRAINING = "pretraining", _("pretraining")
        FINE_TUNING = "fine_tuning", _("fine-tuning")
        EVALUATION = "evaluation", _("evaluation")
        INFERENCE = "inference", _("inference")

    public_id = PublicIdField(prefix="prop")
    number = models.CharField(_("number"), max_length=20, unique=True, null=True, help_text="given at submission")
    call = models.ForeignKey(Call, on_delete=models.PROTECT, related_name="proposals")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="proposals")
    agreement = models.ForeignKey(Agreement, on_delete=models.PROTECT, related_name="proposals")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    title = models.CharField(_("title"), max_length=200)
    purposes = ArrayField(
        models.CharField(max_length=20, choices=Purpose.choices), verbose_name=_("purpose"), default=list
    )
    plan = models.TextField(_("plan"), max_length=20_000, blank=True)
    data = models.TextField(_("data"), max_length=5_000, blank=True)
    state = models.CharField(_("state"), max_length=20, choices=PROPOSAL.choices(), default=PROPOSAL.initial)
    version = models.PositiveIntegerField(default=0, help_text="counts submissions")
    created_at = models.DateTimeField(auto_now_add=True)
    submitted_at = models.DateTimeField(_("submitted"), null=True, blank=True)
    revision = models.PositiveIntegerField(default=0, help_text="counts saves")
    edited_at = models.DateTimeField(null=True, blank=True)
    edited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    edited_form = models.CharField(max_length=40, blank=True, help_text="the open form that saved last")
    unfinished = models.JSONField(
        default=dict, blank=True, help_text="by part: what was typed and is not whole yet (services/unfinished.py)"
    )
    reply = models.TextField(
        _("what was changed"), max_length=4_000, blank=True, help_text="to a return, being written"
    )
    copied_from = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="copies")
    external_ref = models.CharField(
        _("external reference"), max_length=60, null=True, blank=True, help_text="of the spreadsheet that it came from"
    )

    objects = ProposalQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["state", "submitted_at"])]
        constraints = [models.UniqueConstraint(fields=["call", "external_ref"], name="external_reference_once_a_call")]

    def __str__(self) -> str:
        return self.title

    @property
    def purpose_labels(self) -> list[Any]:
        """The purposes in the reader's language."""
        return [self.Purpose(purpose).label for purpose in self.purposes]

    def get_absolute_url(self) -> str:
        return reverse("proposals:proposal", args=[self.public_id])


class RequestLine(models.Model):
    """GPU class x count x hours x window."""

    proposal = models.ForeignKey(Proposal, on_delete=models.CASCADE, related_name="lines")
    gpu_class = models.ForeignKey(GpuClass, on_delete=models.PROTECT, related_name="+")
    gpus = models.PositiveIntegerField(_("GPUs"))
    smallest_gpus = models.PositiveIntegerField(_("smallest useful number"))
    hours = models.PositiveIntegerField(_("hours each"))
    window_from = models.DateField(_("from"))
    window_until = models.DateField(_("until (the last day counts)"))

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(gpus__gt=0) & Q(hours__gt=0), name="request_line_positive"),
            models.CheckConstraint(condition=Q(smallest_gpus__lte=F("gpus")), name="smallest_within_asked"),
            models.CheckConstraint(condition=Q(window_until__gte=F("window_from")), name="request_window_in_order"),
        ]

    def __str__(self) -> str:
        return f"{self.gpus} x {self.gpu_class} x {self.hours} h"

    @property
    def gpu_seconds(self) -> int:
        """Device-seconds asked for."""
        return self.gpus * self.hours * 3600


class ProposalVersion(models.Model):
    """What was submitted, as it was submitted."""

    proposal = models.ForeignKey(Proposal, on_delete=models.CASCADE, related_name="versions")
    version = models.PositiveIntegerField()
    content = models.JSONField()
    sha256 = models.CharField(max_length=64, help_text="of the content as canonical JSON")
    reply = models.TextField(max_length=4_000, blank=True, help_text="to the return before it: what was changed")
    submitted_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    submitted_at = models.DateTimeField()

    class Meta:
        ordering = ["-version"]
        constraints = [models.UniqueConstraint(fields=["proposal", "version"], name="proposal_version_once")]

    def __str__(self) -> str:
        return f"{self.proposal_id} v{self.version}"

    @property
    def is_whole(self) -> bool:
        """Whether the content still has the hash that was given when it came in."""
        return fingerprint(self.content) == self.sha256
