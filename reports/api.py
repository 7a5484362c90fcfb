"""The fleet dashboard's figures, for scripts."""

from typing import Any

from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reports.selectors.fleet import Cell, Fleet, IdleDevice, fleet


class FleetCountsSerializer(serializers.Serializer[Any]):
    """Devices by what matters to an operator."""

    total = serializers.IntegerField()
    in_use = serializers.IntegerField()
    free = serializers.IntegerField()
    turning = serializers.IntegerField()
    offline = serializers.IntegerField()
    quarantined = serializers.IntegerField()
    ill = serializers.IntegerField()


class FleetDeviceSerializer(serializers.Serializer[Any]):
    """One device now; null where nothing fresh was measured."""

    id = serializers.CharField()
    node = serializers.CharField()
    index = serializers.IntegerField()
    state = serializers.CharField()
    state_reason = serializers.CharField()
    health = serializers.CharField()
    utilisation_percent = serializers.IntegerField(allow_null=True)
    measured_at = serializers.DateTimeField(allow_null=True)
    lease = serializers.CharField(allow_null=True)


class FleetIdleSerializer(serializers.Serializer[Any]):
    """A held device that does nothing."""

    device = serializers.CharField()
    lease = serializers.CharField()
    organisation = serializers.CharField()
    idle_since = serializers.DateTimeField()
    held_until = serializers.DateTimeField()


class FleetSerializer(serializers.Serializer[Any]):
    """The dashboard."""

    at = serializers.DateTimeField()
    counts = FleetCountsSerializer()
    held_seconds_24h = serializers.IntegerField(help_text="device-seconds")
    used_seconds_24h = serializers.IntegerField(help_text="device-seconds")
    devices = FleetDeviceSerializer(many=True)
    idle = FleetIdleSerializer(many=True)


class FleetView(APIView):
    """What the staff page shows, from the same question."""

    @extend_schema(responses=FleetSerializer, operation_id="fleet_retrieve", tags=["fleet"])
    def get(self, request: Request) -> Response:
        """Agency staff only; for everybody else the address does not exist."""
        if not getattr(request.user, "is_agency", False):
            raise Http404
        return Response(FleetSerializer(_body(fleet(timezone.now()))).data)


def _body(now: Fleet) -> dict[str, Any]:
    return {
        "at": now.at,
        "counts": now.counts,
        "held_seconds_24h": now.held_seconds,
        "used_seconds_24h": now.used_seconds,
        "devices": [_device(cell) for row in now.nodes for cell in row.cells],
        "idle": [_idle(row) for row in now.idle],
    }


def _device(cell: Cell) -> dict[str, Any]:
    return {
        "id": cell.device.public_id,
        "node": cell.device.node.name,
        "index": cell.device.index,
        "state": cell.device.state,
        "state_reason": cell.device.state_reason,
        "health": cell.device.health,
        "utilisation_percent": cell.utilisation_percent,
        "measured_at": cell.sample.at if cell.sample else None,
        "lease": cell.lease.public_id if cell.lease else None,
    }


def _idle(row: IdleDevice) -> dict[str, Any]:
    return {
        "device": row.device.public_id,
        "lease": row.lease.public_id,
        "organisation": row.lease.allocation.project.organisation.name,
        "idle_since": row.since,
        "held_until": row.lease.ends_at,
    }
