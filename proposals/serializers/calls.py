"""A call, to the API."""

from typing import Any

from rest_framework import serializers

from accounts.models import User
from cluster.models import Pool
from common.moments import MomentField
from partners.models import Organisation
from proposals.models import Call, CallDocument, CallStep, Question
from proposals.terms import MAX_CHOICES, MAX_HELP, MAX_HOURS, MAX_LABEL, MAX_TEXT, MAX_TITLE

MAX_SECONDS = MAX_HOURS * 3600


def _seconds(**kwargs: Any) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=0, max_value=MAX_SECONDS, **kwargs)


class CallSerializer(serializers.ModelSerializer):
    id = serializers.CharField(source="public_id", read_only=True)
    pools: Any = serializers.SlugRelatedField(slug_field="public_id", many=True, read_only=True)
    is_open = serializers.BooleanField(read_only=True)

    class Meta:
        model = Call
        fields: tuple[str, ...] = (
            "id",
            "title_ko",
            "title_en",
            "text_ko",
            "text_en",
            "contact",
            "pools",
            "published_at",
            "closes_at",
            "is_open",
            "sizes",
            "regions",
            "most_years",
            "most_proposals",
            "smallest_gpu_seconds",
            "largest_gpu_seconds",
            "fast_lane",
            "fast_lane_gpu_seconds",
            "held_back_percent",
            "answer_days",
        )
        read_only_fields = fields


class LabelSerializer(serializers.Serializer):
    """A label with its explanation, in both languages."""

    label_ko = serializers.CharField(max_length=MAX_LABEL)
    label_en = serializers.CharField(max_length=MAX_LABEL)
    help_ko = serializers.CharField(max_length=MAX_HELP, allow_blank=True, default="")
    help_en = serializers.CharField(max_length=MAX_HELP, allow_blank=True, default="")


class CriterionSerializer(LabelSerializer):
    weight = serializers.IntegerField(min_value=1, max_value=100, default=1)
    scale = serializers.IntegerField(min_value=1, max_value=100, default=10)
    comment_needed = serializers.BooleanField(default=False)


class QuestionSerializer(LabelSerializer):
    """`choices_ko` and `choices_en` go together one by one, and only where `kind` is `choice`."""

    kind = serializers.ChoiceField(choices=Question.Kind.choices)
    is_required = serializers.BooleanField(default=False)
    choices_ko = serializers.ListField(
        child=serializers.CharField(max_length=MAX_TITLE), max_length=MAX_CHOICES, default=list
    )
    choices_en = serializers.ListField(
        child=serializers.CharField(max_length=MAX_TITLE), max_length=MAX_CHOICES, default=list
    )


class DateSerializer(LabelSerializer):
    on = serializers.DateField()


class CallDocumentSerializer(serializers.ModelSerializer):
    id = serializers.CharField(source="public_id", read_only=True)

    class Meta:
        model = CallDocument
        fields = ("id", "name", "sha256", "added_at")
        read_only_fields = fields


class WholeCallSerializer(CallSerializer):
    """With everything that whoever proposes should know."""

    criteria: Any = CriterionSerializer(many=True, read_only=True)
    questions: Any = QuestionSerializer(many=True, read_only=True)
    dates: Any = DateSerializer(many=True, read_only=True)
    documents: Any = CallDocumentSerializer(many=True, read_only=True)

    class Meta(CallSerializer.Meta):
        fields = (*CallSerializer.Meta.fields, "criteria", "questions", "dates", "documents")
        read_only_fields = fields


class OfferSerializer(serializers.Serializer):
    """`budget_gpu_seconds` null: without a bound."""

    pool: Any = serializers.SlugRelatedField(slug_field="public_id", queryset=Pool.objects.select_related("gpu_class"))
    budget_gpu_seconds = _seconds(allow_null=True, default=None)


class CallStepSerializer(serializers.Serializer):
    """`owner`: public id of somebody of the agency."""

    kind = serializers.ChoiceField(choices=CallStep.Kind.choices)
    owner: Any = serializers.SlugRelatedField(
        slug_field="public_id",
        allow_null=True,
        default=None,
        queryset=User.objects.filter(
            is_active=True, role_grants__role__in=("officer", "operator", "administrator")
        ).distinct(),
    )
    due_at = MomentField(allow_null=True, default=None)


class EditCallSerializer(serializers.Serializer):
    """What is left out stays as it is; lists are replaced whole; null takes a condition away.

    `version`: of `terms/` when it was read; 409 where somebody has changed the call since.
    """

    version = serializers.CharField(max_length=64, required=False)
    title_ko = serializers.CharField(max_length=MAX_TITLE, required=False)
    title_en = serializers.CharField(max_length=MAX_TITLE, required=False)
    text_ko = serializers.CharField(max_length=MAX_TEXT, required=False, allow_blank=True)
    text_en = serializers.CharField(max_length=MAX_TEXT, required=False, allow_blank=True)
    contact = serializers.CharField(max_length=MAX_TITLE, required=False, allow_blank=True)
    closes_at = MomentField(required=False, allow_null=True)
    answer_days = serializers.IntegerField(min_value=1, max_value=365, required=False)
    sizes = serializers.MultipleChoiceField(choices=Organisation.Size.choices, required=False)
    regions = serializers.MultipleChoiceField(choices=Organisation.Region.choices, required=False)
    most_years = serializers.IntegerField(min_value=1, max_value=200, required=False, allow_null=True)
    most_proposals = serializers.IntegerField(min_value=1, max_value=1_000, required=False, allow_null=True)
    smallest_gpu_seconds = _seconds(required=False, allow_null=True)
    largest_gpu_seconds = _seconds(required=False, allow_null=True)
    fast_lane = serializers.ChoiceField(choices=Call.FastLane.choices, required=False)
    fast_lane_gpu_seconds = _seconds(required=False)
    held_back_percent = serializers.IntegerField(min_value=0, max_value=90, required=False)
    reviews_needed = serializers.IntegerField(min_value=1, max_value=20, required=False)
    blind = serializers.BooleanField(required=False)
    reviewers_see = serializers.ChoiceField(choices=Call.Sees.choices, required=False)
    two_person_gpu_seconds = _seconds(required=False, allow_null=True)
    offers = OfferSerializer(many=True, required=False)
    criteria = CriterionSerializer(many=True, required=False)
    questions = QuestionSerializer(many=True, required=False)
    steps = CallStepSerializer(many=True, required=False)
    dates = DateSerializer(many=True, required=False)


class CallTermsSerializer(EditCallSerializer):
    """Everything that a call says, for the agency."""

    stage = serializers.CharField()


class NewCallSerializer(serializers.Serializer):
    title_ko = serializers.CharField(max_length=MAX_TITLE)
    title_en = serializers.CharField(max_length=MAX_TITLE)


class PublishCallSerializer(serializers.Serializer):
    """`at` null or left out: now."""

    at = MomentField(required=False, allow_null=True, default=None)


class UploadSerializer(serializers.Serializer):
    document = serializers.FileField(max_length=200, allow_empty_file=True)


class WhichDocumentSerializer(serializers.Serializer):
    """`document`: public id of a document of the call."""

    document = serializers.CharField(max_length=40)


class ConditionSerializer(serializers.Serializer):
    rule = serializers.CharField()
    met = serializers.BooleanField()
    asked = serializers.CharField()
    own = serializers.CharField()
    remedy = serializers.CharField()


class StandingSerializer(serializers.Serializer):
    """Whether one of one's own organisations may propose, and why (not)."""

    organisation = serializers.CharField(source="organisation.public_id")
    may = serializers.BooleanField()
    conditions = ConditionSerializer(many=True)


class PoolBudgetSerializer(serializers.Serializer):
    """Device-seconds; `asked` is of the pool's GPU class; `left` null: no bound."""

    pool = serializers.CharField(source="pool.public_id")
    gpu_class = serializers.CharField(source="pool.gpu_class.code")
    budget = serializers.IntegerField(allow_null=True)
    asked = serializers.IntegerField()
    awarded = serializers.IntegerField()
    accepted = serializers.IntegerField()
    left = serializers.IntegerField(allow_null=True)


class CallShareSerializer(serializers.Serializer):
    """`key` empty: not registered."""

    key = serializers.CharField()
    proposals = serializers.IntegerField()
    awarded = serializers.IntegerField()
    asked_gpu_seconds = serializers.IntegerField()
    awarded_gpu_seconds = serializers.IntegerField()


class CallFiguresSerializer(serializers.Serializer):
    """What a call achieved; drafts are not counted. `demand`: how many times its budget was asked for."""

    proposals = serializers.IntegerField()
    organisations = serializers.IntegerField()
    states = serializers.DictField(child=serializers.IntegerField())
    asked_gpus = serializers.IntegerField()
    asked_gpu_seconds = serializers.IntegerField()
    awarded = serializers.IntegerField()
    accepted = serializers.IntegerField()
    awarded_gpus = serializers.IntegerField()
    awarded_gpu_seconds = serializers.IntegerField()
    budget_gpu_seconds = serializers.IntegerField(allow_null=True)
    demand = serializers.FloatField(allow_null=True)
    pools = PoolBudgetSerializer(many=True)
    sizes = CallShareSerializer(many=True)
    regions = CallShareSerializer(many=True)


def changes_from(ask: dict[str, Any], shapes: dict[str, Any]) -> dict[str, Any]:
    """A checked body in the shape that the service takes: rows as `shapes` says, lists as tuples."""
    found: dict[str, Any] = {}
    for name, value in ask.items():
        if name in shapes:
            rows = ({k: tuple(v) if isinstance(v, list) else v for k, v in row.items()} for row in value)
            found[name] = tuple(shapes[name](**row) for row in rows)
        else:
            found[name] = tuple(sorted(value)) if name in ("sizes", "regions") else value
    return found
