"""What became of an ask that was small enough for the fast lane."""

from django.db import models
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from proposals.models.proposals import Proposal


class FastLane(models.Model):
    """One row a proposal that takes it: granted at once, or the reason why it goes the ordinary way."""

    class Outcome(models.TextChoices):
        WAITING = "waiting", _("is being looked at")
        OFFICER = "officer", _("an officer alone decides")
        GRANTED = "granted", _("granted at once")
        ORDINARY = "ordinary", _("goes the ordinary way")

    proposal = models.OneToOneField(Proposal, on_delete=models.CASCADE, related_name="fast_lane")
    version = models.PositiveIntegerField(help_text="the submission that was looked at")
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    code = models.CharField(max_length=60, blank=True, help_text="of the rule that kept it from being granted")
    note_ko = models.CharField(max_length=1000, blank=True)
    note_en = models.CharField(max_length=1000, blank=True)
    at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [models.Index(fields=["at"], name="fast_lane_waiting", condition=models.Q(outcome="waiting"))]

    def __str__(self) -> str:
        return f"{self.proposal_id} {self.outcome}"

    @property
    def note(self) -> str:
        """Why it was not granted at once, in the reader's language."""
        return self.note_en if (get_language() or "ko").startswith("en") else self.note_ko
