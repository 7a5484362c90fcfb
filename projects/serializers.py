"""Shapes of the API of projects."""

from rest_framework import serializers

from projects.lifecycle import PROGRESS_REPORT
from projects.models import ProgressReport, Project, ProjectMember
from projects.services.progress import MAX_ACHIEVED, MAX_OTHER


class ProjectSerializer(serializers.ModelSerializer):
    id = serializers.CharField(source="public_id", read_only=True)
    organisation = serializers.CharField(source="organisation.public_id", read_only=True)
    agreement = serializers.CharField(source="agreement.public_id", read_only=True)

    class Meta:
        model = Project
        fields = ("id", "title", "summary", "organisation", "agreement", "proposal_ref", "created_at")
        read_only_fields = fields


class TeamMemberSerializer(serializers.ModelSerializer):
    user = serializers.CharField(source="user.public_id", read_only=True)
    name = serializers.CharField(source="user.name", read_only=True)

    class Meta:
        model = ProjectMember
        fields = ("user", "name", "is_lead", "joined_at")
        read_only_fields = fields


class TeamChangeSerializer(serializers.Serializer):
    """`user`: public id of somebody of the project's organisation."""

    user = serializers.CharField(max_length=40)


class ProgressReportSerializer(serializers.ModelSerializer):
    """`period_until` is a day that counts; `answer`: why it was sent back."""

    id = serializers.CharField(source="public_id", read_only=True)
    project = serializers.CharField(source="project.public_id", read_only=True)
    state = serializers.ChoiceField(choices=PROGRESS_REPORT.choices(), read_only=True)

    class Meta:
        model = ProgressReport
        fields = (
            "id",
            "project",
            "period_from",
            "period_until",
            "achieved",
            "difficulties",
            "next_steps",
            "state",
            "submitted_at",
            "decided_at",
            "answer",
        )
        read_only_fields = fields


class ProgressSerializer(serializers.Serializer):
    """What a report says."""

    period_from = serializers.DateField()
    period_until = serializers.DateField()
    achieved = serializers.CharField(max_length=MAX_ACHIEVED)
    difficulties = serializers.CharField(max_length=MAX_OTHER, allow_blank=True, default="")
    next_steps = serializers.CharField(max_length=MAX_OTHER, allow_blank=True, default="")


class NewProgressSerializer(ProgressSerializer):
    """`project`: public id."""

    project = serializers.CharField(max_length=40)
