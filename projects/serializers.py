"""Shapes of the API of projects."""

from rest_framework import serializers

from projects.models import Project, ProjectMember


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
