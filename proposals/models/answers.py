"""What a proposal answers to the questions of its call."""

from decimal import Decimal

from django.db import models
from django.db.models import Q

from proposals.models.attachments import Attachment
from proposals.models.calls import Question
from proposals.models.proposals import Proposal

Value = str | Decimal | int | bool | Attachment


class Answer(models.Model):
    """One answer, in the column of its question's kind."""

    proposal = models.ForeignKey(Proposal, on_delete=models.CASCADE, related_name="answers")
    question = models.ForeignKey(Question, on_delete=models.PROTECT, related_name="answers")
    text = models.TextField(blank=True, max_length=5_000)
    number = models.DecimalField(max_digits=20, decimal_places=4, null=True, blank=True)
    choice = models.PositiveSmallIntegerField(null=True, blank=True, help_text="place among the choices, from 0")
    yes_no = models.BooleanField(null=True, blank=True)
    file = models.ForeignKey(Attachment, on_delete=models.CASCADE, null=True, blank=True, related_name="answers")

    class Meta:
        ordering = ["question__place"]
        constraints = [
            models.UniqueConstraint(fields=["proposal", "question"], name="answer_once"),
            models.CheckConstraint(
                condition=(
                    (~Q(text="") & Q(number=None, choice=None, yes_no=None, file=None))
                    | (Q(text="", number__isnull=False, choice=None, yes_no=None, file=None))
                    | (Q(text="", number=None, choice__isnull=False, yes_no=None, file=None))
                    | (Q(text="", number=None, choice=None, yes_no__isnull=False, file=None))
                    | (Q(text="", number=None, choice=None, yes_no=None, file__isnull=False))
                ),
                name="answer_in_one_column",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.question_id} of {self.proposal_id}"

    @property
    def value(self) -> Value | None:
        """What was answered, as its kind has it."""
        if self.file_id is not None:
            return self.file
        given = (self.number, self.choice, self.yes_no)
        return next((one for one in given if one is not None), self.text or None)
