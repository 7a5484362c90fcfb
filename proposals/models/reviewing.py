"""Who reviews what, what stands in the way, and what they wrote."""

from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from common.ids import PublicIdField
from common.moments import agency_today
from partners.models import Shareholder, organisation_ids_of
from partners.selectors.nearness import related_to_each
from proposals.lifecycle import ASSIGNMENT, REVIEW
from proposals.models.calls import Criterion
from proposals.models.proposals import Proposal
from proposals.models.reviewers import FormerEmployer
from proposals.models.steps import IN_REVIEW
from proposals.models.team import ProposalMember
from proposals.visibility import role_of, sees_reviewers

ACTIVE = ("proposed", "sent", "open", "done")
TOLD = ("sent", "open", "done")
OPENED = ("open", "done")
READABLE = (*IN_REVIEW, "awarded", "declined", "accepted", "refused", "expired")
"""A draft, a returned or a withdrawn proposal is its partner's alone."""


class Conflict(models.Model):
    """What stands between a reviewer and a proposal: declared, or found in the data, and whether it was waived."""

    class Kind(models.TextChoices):
        DECLARED = "declared", _("declared by the reviewer")
        ORGANISATION = "organisation", _("belongs to the same organisation")
        RELATED = "related", _("belongs to a related organisation or a shareholder")
        SHAREHOLDER = "shareholder", _("a shareholder has the same name")
        EMPLOYER = "employer", _("worked there until recently")
        IN_CALL = "in_call", _("has a part in a proposal of the same call")

    proposal = models.ForeignKey(Proposal, on_delete=models.CASCADE, related_name="conflicts")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="conflicts")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    words = models.TextField(blank=True, max_length=2_000)
    declared_at = models.DateTimeField(null=True, blank=True)
    waived_at = models.DateTimeField(null=True, blank=True)
    waived_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    waive_reason = models.TextField(blank=True, max_length=2_000)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["proposal", "reviewer", "kind"], name="conflict_once"),
            models.CheckConstraint(
                condition=Q(waived_at=None) | (Q(waived_by__isnull=False) & ~Q(waive_reason="")),
                name="conflict_waived_by_somebody_with_a_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.proposal_id} {self.reviewer_id}"


def employed_since() -> date:
    """Employments that ended on this day or later still count as a conflict."""
    return agency_today() - timedelta(days=365 * settings.CONFLICT_YEARS)


def found_in_data(user: Any) -> dict[str, Q]:
    """By kind: on which proposals the data says that this person may not judge. One query, four for a member."""
    former = FormerEmployer.objects.filter(profile__user_id=user.pk, until__gte=employed_since())
    team = ProposalMember.objects.filter(Q(user_id=user.pk) | Q(email__iexact=user.email)).values("proposal_id")
    # A name in a draft is nobody's word yet: else whoever knows a reviewer's address could shut them out of a call.
    handed_in = Q(pk__in=team, submitted_at__isnull=False)
    own = Proposal.objects.filter(Q(created_by_id=user.pk) | handed_in).exclude(state="withdrawn")
    homes = set(organisation_ids_of(user).values_list("organisation_id", flat=True))
    near = {key for found in related_to_each(homes).values() for key in found} - homes
    return {
        Conflict.Kind.ORGANISATION: Q(organisation_id__in=homes),
        Conflict.Kind.RELATED: Q(organisation_id__in=near),
        Conflict.Kind.SHAREHOLDER: Q(
            organisation_id__in=Shareholder.objects.filter(name=user.name).values("organisation_id")
        ),
        Conflict.Kind.EMPLOYER: Q(organisation_id__in=former.exclude(organisation=None).values("organisation_id"))
        | Q(organisation__name_ko__in=former.values("name"))
        | Q(organisation__name_en__in=former.values("name")),
        Conflict.Kind.IN_CALL: Q(call_id__in=own.values("call_id")),
    }


def conflicted_proposals(user: Any) -> models.QuerySet[Proposal]:
    """The proposals that this person may not review: found in the data or declared, and not waived."""
    waived = Conflict.objects.filter(proposal=OuterRef("pk"), reviewer_id=user.pk, waived_at__isnull=False)
    standing = Conflict.objects.filter(
        proposal=OuterRef("pk"), reviewer_id=user.pk, kind=Conflict.Kind.DECLARED, waived_at=None
    )
    blocked: Any = Q(Exists(standing))
    for kind, found in found_in_data(user).items():
        blocked |= found & ~Exists(waived.filter(kind=kind))
    return Proposal.objects.filter(blocked)


class AssignmentQuerySet(models.QuerySet["Assignment"]):
    def visible_to(self, user: Any) -> "AssignmentQuerySet":
        """Officers and auditors see all; a reviewer what was sent to them, unless a conflict stands in the way."""
        roles = user.agency_roles
        return self if role_of(roles) != "reviewer" and sees_reviewers(roles) else self.of(user)

    def of(self, user: Any) -> "AssignmentQuerySet":
        """One's own, of the version under review. A conflict that is not waived takes the row away, declared or not.

        Who works for the agency reads proposals whole, with their names: for them blind calls have none.
        """
        if "reviewer" not in user.agency_roles:
            return self.none()
        rows = self.exclude(proposal__call__blind=True) if user.is_agency else self
        return rows.filter(
            reviewer_id=user.pk, state__in=TOLD, proposal__state__in=READABLE, version=F("proposal__version")
        ).exclude(proposal__in=conflicted_proposals(user))

    def opened_to(self, user: Any) -> "AssignmentQuerySet":
        """One's own of which one has declared that nothing stands in the way: only these open the proposal."""
        return self.of(user).filter(state__in=OPENED)


class Assignment(models.Model):
    """One reviewer for one version of a proposal."""

    public_id = PublicIdField(prefix="asg")
    proposal = models.ForeignKey(Proposal, on_delete=models.CASCADE, related_name="assignments")
    version = models.PositiveIntegerField(help_text="of the proposal")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="assignments")
    state = models.CharField(_("state"), max_length=20, choices=ASSIGNMENT.choices(), default=ASSIGNMENT.initial)
    grounds = models.JSONField(default=dict, help_text="why this reviewer was proposed: topics, purposes, load, limit")
    assigned_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)
    declared_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(_("due"), null=True, blank=True)
    reminded_at = models.DateTimeField(null=True, blank=True, help_text="that the deadline comes near")
    chased_at = models.DateTimeField(null=True, blank=True, help_text="that the deadline is over")

    objects = AssignmentQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["proposal", "version", "reviewer"], name="assignment_once_per_version")
        ]
        indexes = [
            models.Index(fields=["reviewer", "state"]),
            models.Index(
                fields=["due_at"], condition=models.Q(state__in=["sent", "open"]), name="assignment_waiting_due"
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def is_overdue(self) -> bool:
        """Not done past its deadline."""
        return self.state in ("sent", "open") and self.due_at is not None and self.due_at < timezone.now()

    def get_absolute_url(self) -> str:
        return reverse("proposals:review", args=[self.public_id])


class Review(models.Model):
    """What one reviewer says of one version of a proposal."""

    assignment = models.OneToOneField(Assignment, on_delete=models.CASCADE, related_name="review")
    state = models.CharField(_("state"), max_length=20, choices=REVIEW.choices(), default=REVIEW.initial)
    comment = models.TextField(_("for the agency"), max_length=10_000, blank=True)
    partner_comment = models.TextField(_("for the partner"), max_length=10_000, blank=True)
    total = models.DecimalField(
        max_digits=6, decimal_places=3, null=True, blank=True, help_text="weighted, 0 to 100; kept at submission"
    )
    revision = models.PositiveIntegerField(default=0, help_text="counts savings")
    saved_at = models.DateTimeField(null=True, blank=True)
    submitted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="submitted") | Q(total__isnull=False), name="submitted_review_has_a_total"
            )
        ]

    def __str__(self) -> str:
        return f"review of {self.assignment_id}"


class Score(models.Model):
    """Points on one criterion, from 0 to its scale, and why."""

    review = models.ForeignKey(Review, on_delete=models.CASCADE, related_name="scores")
    criterion = models.ForeignKey(Criterion, on_delete=models.PROTECT, related_name="scores")
    points = models.PositiveSmallIntegerField(null=True, blank=True)
    comment = models.TextField(max_length=4_000, blank=True)

    class Meta:
        ordering = ["criterion__place"]
        constraints = [models.UniqueConstraint(fields=["review", "criterion"], name="score_once")]

    def __str__(self) -> str:
        return f"{self.points} on {self.criterion_id}"
