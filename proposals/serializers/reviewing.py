"""Steps, reviewers and reviews, to the API."""

from typing import Any

from rest_framework import serializers

from common.moments import MomentField
from proposals.lifecycle import ASSIGNMENT, STEP
from proposals.models import Assignment, CallStep, Conflict, Proposal, ProposalStep, ReviewerProfile, Score
from proposals.selectors.reading import title_for
from proposals.services.declaring import MAX_WORDS
from proposals.services.reviewers import MAX_EMPLOYERS, MAX_LOAD, MAX_TOPICS, Expertise, ProfileContent
from proposals.services.reviewing import MAX_COMMENT, MAX_SCORE_COMMENT, ReviewContent
from proposals.services.stepping import VERDICTS


class StepSerializer(serializers.ModelSerializer):
    """`note`, `pool`, `gpu_class` and `closed_by` are empty for those who do not see them."""

    id = serializers.CharField(source="public_id", read_only=True)
    proposal = serializers.CharField(source="proposal.public_id", read_only=True)
    kind = serializers.ChoiceField(choices=CallStep.Kind.choices, read_only=True)
    state = serializers.ChoiceField(choices=STEP.choices(), read_only=True)
    owner = serializers.CharField(source="owner.public_id", read_only=True, default=None)
    closed_by = serializers.CharField(source="closed_by.public_id", read_only=True, default=None)
    pool = serializers.CharField(source="pool.public_id", read_only=True, default=None)
    gpu_class = serializers.CharField(source="gpu_class.code", read_only=True, default=None)
    is_overdue = serializers.BooleanField(read_only=True)

    class Meta:
        model = ProposalStep
        fields = (
            "id",
            "proposal",
            "version",
            "kind",
            "state",
            "owner",
            "due_at",
            "is_overdue",
            "opened_at",
            "closed_at",
            "closed_by",
            "note",
            "gpu_class",
            "pool",
        )
        read_only_fields = fields

    def to_representation(self, instance: ProposalStep) -> dict[str, Any]:
        shown: dict[str, Any] = super().to_representation(instance)
        if not self.context.get("notes"):
            shown |= {"note": "", "pool": None, "gpu_class": None, "closed_by": None, "owner": None}
        return shown


class VerdictSerializer(serializers.Serializer):
    """`pool` is needed where a technical check passes."""

    verdict = serializers.ChoiceField(choices=[(one, one) for one in VERDICTS])
    note = serializers.CharField(max_length=4_000, allow_blank=True, default="")
    pool = serializers.CharField(max_length=40, required=False, allow_null=True, default=None)


class ScoreSerializer(serializers.ModelSerializer):
    """`criterion` is its place in the call."""

    criterion = serializers.IntegerField(source="criterion.place", read_only=True)

    class Meta:
        model = Score
        fields = ("criterion", "points", "comment")
        read_only_fields = fields


class AssignmentSerializer(serializers.ModelSerializer):
    """A review that was asked for; `review` is what its reviewer wrote so far. In a blind call no name is in it."""

    id = serializers.CharField(source="public_id", read_only=True)
    proposal = serializers.CharField(source="proposal.public_id", read_only=True)
    number = serializers.CharField(source="proposal.number", read_only=True)
    title = serializers.SerializerMethodField()
    call = serializers.CharField(source="proposal.call.public_id", read_only=True)
    reviewer = serializers.CharField(source="reviewer.public_id", read_only=True)
    state = serializers.ChoiceField(choices=ASSIGNMENT.choices(), read_only=True)
    is_overdue = serializers.BooleanField(read_only=True)
    review = serializers.SerializerMethodField()

    class Meta:
        model = Assignment
        fields = (
            "id",
            "proposal",
            "number",
            "title",
            "call",
            "reviewer",
            "state",
            "due_at",
            "is_overdue",
            "sent_at",
            "declared_at",
            "review",
        )
        read_only_fields = fields

    def get_title(self, row: Assignment) -> str:
        """Blotted for reviewers of a blind call."""
        return title_for(row) if self.context["request"].user.pk == row.reviewer_id else row.proposal.title

    def get_review(self, row: Assignment) -> dict[str, Any] | None:
        """Points, comments, the weighted total once submitted."""
        review = getattr(row, "review", None)
        if review is None:
            return None
        return {
            "state": review.state,
            "revision": review.revision,
            "scores": ScoreSerializer(review.scores.all(), many=True).data,
            "comment": review.comment,
            "partner_comment": review.partner_comment,
            "total": None if review.total is None or review.state == "draft" else str(review.total),
            "submitted_at": review.submitted_at,
        }


class ReadLineSerializer(serializers.Serializer):
    gpu_class = serializers.CharField(source="gpu_class.code")
    gpus = serializers.IntegerField()
    smallest_gpus = serializers.IntegerField()
    hours = serializers.IntegerField()
    window_from = serializers.DateField()
    window_until = serializers.DateField()


class ReadAnswerSerializer(serializers.Serializer):
    question = serializers.CharField()
    text = serializers.CharField()


class ReadMemberSerializer(serializers.Serializer):
    name = serializers.CharField()
    part = serializers.CharField()
    experience = serializers.CharField()


class ReadFileSerializer(serializers.Serializer):
    id = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.CharField()
    size_bytes = serializers.IntegerField()


class OtherReviewSerializer(serializers.Serializer):
    label = serializers.CharField()  # type: ignore[assignment]
    total = serializers.DecimalField(source="review.total", max_digits=6, decimal_places=3)
    comment = serializers.CharField(source="review.comment")
    scores = ScoreSerializer(source="points", many=True)


class ReadingSerializer(serializers.Serializer):
    """The proposal as its reviewer may read it; empty where it does not open."""

    number = serializers.CharField()
    title = serializers.CharField()
    organisation = serializers.CharField()
    is_blind = serializers.BooleanField()
    purposes = serializers.ListField(child=serializers.CharField())
    plan = serializers.CharField()
    data = serializers.CharField()  # type: ignore[assignment]
    lines = ReadLineSerializer(many=True)
    answers = ReadAnswerSerializer(many=True)
    team = ReadMemberSerializer(many=True)
    files = ReadFileSerializer(many=True)
    others = OtherReviewSerializer(many=True)


class DeclarationSerializer(serializers.Serializer):
    """`words` are needed where there is a conflict."""

    conflict = serializers.BooleanField()
    words = serializers.CharField(max_length=MAX_WORDS, allow_blank=True, default="")


class GivenScoreSerializer(serializers.Serializer):
    criterion = serializers.IntegerField(min_value=0, max_value=32_767)
    points = serializers.IntegerField(min_value=0, max_value=32_767, allow_null=True, default=None)
    comment = serializers.CharField(max_length=MAX_SCORE_COMMENT, allow_blank=True, default="")


class GivenReviewSerializer(serializers.Serializer):
    """`revision` is that of the draft it was typed over (0 at first); 409 `overtaken` where it is another."""

    revision = serializers.IntegerField(min_value=0, max_value=2_000_000_000)
    scores = GivenScoreSerializer(many=True, max_length=100, default=list)  # type: ignore[call-arg]
    comment = serializers.CharField(max_length=MAX_COMMENT, allow_blank=True, default="")
    partner_comment = serializers.CharField(max_length=MAX_COMMENT, allow_blank=True, default="")


class NewAssignmentSerializer(serializers.Serializer):
    proposal = serializers.CharField(max_length=40)
    reviewer = serializers.CharField(max_length=40)


class WaiverSerializer(NewAssignmentSerializer):
    reason = serializers.CharField(max_length=MAX_WORDS)


class ConflictSerializer(serializers.ModelSerializer):
    reviewer = serializers.CharField(source="reviewer.public_id", read_only=True)
    waived_by = serializers.CharField(source="waived_by.public_id", read_only=True, default=None)

    class Meta:
        model = Conflict
        fields = ("reviewer", "kind", "words", "declared_at", "waived_at", "waived_by", "waive_reason")
        read_only_fields = fields


class EmployerSerializer(serializers.Serializer):
    """`until` is the last day there."""

    name = serializers.CharField(max_length=120)
    until = serializers.DateField()


class ReviewerSerializer(serializers.ModelSerializer):
    """`load`: reviews given and not submitted."""

    id = serializers.CharField(source="public_id", read_only=True)
    person = serializers.CharField(source="user.public_id", read_only=True)
    name = serializers.CharField(source="user.name", read_only=True)
    load = serializers.IntegerField(read_only=True)
    employers = EmployerSerializer(source="former_employers", many=True, read_only=True)

    class Meta:
        model = ReviewerProfile
        fields = (
            "id",
            "person",
            "name",
            "affiliation",
            "purposes",
            "topics",
            "load_limit",
            "load",
            "is_available",
            "employers",
            "revision",
        )
        read_only_fields = fields


class ExpertiseSerializer(serializers.Serializer):
    purposes = serializers.ListField(
        child=serializers.ChoiceField(choices=Proposal.Purpose.choices), max_length=5, default=list
    )
    topics = serializers.ListField(child=serializers.CharField(max_length=40), max_length=MAX_TOPICS, default=list)
    load_limit = serializers.IntegerField(min_value=0, max_value=MAX_LOAD, default=10)


class InviteReviewerSerializer(ExpertiseSerializer):
    email = serializers.EmailField(max_length=254)


class InvitedSerializer(serializers.Serializer):
    id = serializers.CharField(source="public_id", read_only=True)
    email = serializers.EmailField()
    expires_at = MomentField()


class InvitationSerializer(serializers.Serializer):
    """Which invitation; its id."""

    invitation = serializers.CharField(max_length=40)


class ProfileSerializer(ExpertiseSerializer):
    """Replaces the profile; `revision` is that it was read at, 409 where it is another by now."""

    affiliation = serializers.CharField(max_length=120, allow_blank=True, default="")
    is_available = serializers.BooleanField(default=True)
    employers = EmployerSerializer(many=True, max_length=MAX_EMPLOYERS, default=list)  # type: ignore[call-arg]
    revision = serializers.IntegerField(min_value=0, max_value=2_000_000_000)


def expertise_from(data: dict[str, Any]) -> Expertise:
    """A validated body as what the service takes."""
    return Expertise(tuple(data["purposes"]), tuple(data["topics"]), data["load_limit"])


def profile_from(data: dict[str, Any]) -> ProfileContent:
    """A validated body as what the service takes."""
    employers = tuple((row["name"], row["until"]) for row in data["employers"])
    return ProfileContent(expertise_from(data), data["affiliation"], data["is_available"], employers)


def review_from(data: dict[str, Any]) -> ReviewContent:
    """A validated body as what the service takes."""
    return ReviewContent(
        points={row["criterion"]: row["points"] for row in data["scores"]},
        comments={row["criterion"]: row["comment"] for row in data["scores"]},
        comment=data["comment"],
        partner_comment=data["partner_comment"],
    )
