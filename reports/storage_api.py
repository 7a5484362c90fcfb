"""What the measurements take on the disk, for scripts."""

from typing import Any

from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reports.selectors.storage import storage


class StoredTableSerializer(serializers.Serializer[Any]):
    """One table. Rows as the database last counted them; null where nothing was measured yet."""

    name = serializers.CharField()
    bytes = serializers.IntegerField()
    index_bytes = serializers.IntegerField()
    rows = serializers.IntegerField()
    partitions = serializers.IntegerField()
    oldest = serializers.DateTimeField(allow_null=True)
    keep_days = serializers.IntegerField(help_text="0: for good")
    setting = serializers.CharField(help_text="the name of the setting that says how long; empty: none does")
    rows_a_day = serializers.IntegerField(allow_null=True)
    bytes_a_row = serializers.FloatField(allow_null=True, help_text="with indexes")
    full_bytes = serializers.IntegerField(allow_null=True, help_text="when all is kept that shall be")
    full_at = serializers.DateTimeField(allow_null=True)
    astray = serializers.IntegerField(help_text="rows that wait for their partition")


class RollupMarkSerializer(serializers.Serializer[Any]):
    """How far a rollup has come."""

    name = serializers.CharField()
    done_until = serializers.DateTimeField()


class StorageSerializer(serializers.Serializer[Any]):
    """Every table of measurements."""

    at = serializers.DateTimeField()
    tables = StoredTableSerializer(many=True)
    bytes = serializers.IntegerField()
    full_bytes = serializers.IntegerField()
    database_bytes = serializers.IntegerField()
    rollups = RollupMarkSerializer(many=True, source="marks")


class StorageView(APIView):
    """What the staff page shows, from the same question."""

    @extend_schema(responses=StorageSerializer, operation_id="measurement_storage", tags=["fleet"])
    def get(self, request: Request) -> Response:
        """Agency staff only; for everybody else the address does not exist."""
        if not getattr(request.user, "is_agency", False):
            raise Http404
        return Response(StorageSerializer(storage(timezone.now())).data)
