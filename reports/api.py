"""The fleet's screen, for scripts: the page's filters and moments, from the same form and the same questions."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.paging import Pages
from common.web import staff_only
from reports.fleet_form import FleetForm, page_number
from reports.selectors.fleet_counts import Asked
from reports.selectors.fleet_parts import Part
from reports.selectors.fleet_rows import Gpu
from reports.selectors.fleet_screen import Picture, Screen, Sorts, screen
from reports.selectors.fleet_tops import ERROR_ORDERS, HOT_ORDERS, IDLE_ORDERS, Faulty, IdleHolding

FILTERS = [
    OpenApiParameter("pool", str, description="id of a pool"),
    OpenApiParameter("gpu_class", str, description="code of a GPU class"),
    OpenApiParameter("organisation", str, description="id of the organisation that holds them"),
    OpenApiParameter("call", str, description="id of the call under which they were awarded"),
    OpenApiParameter(
        "at",
        {"type": "string", "format": "date-time"},
        description="a moment of the kept past: minutes, and hours where those are gone; now where it is missing",
    ),
    OpenApiParameter("part", str, enum=Part.values, description="only devices that count as this"),
    OpenApiParameter("page", int, description="of `devices`"),
    OpenApiParameter("page_size", int, description="devices a page: 200, 1000 at most"),
    OpenApiParameter("idle_by", str, enum=list(IDLE_ORDERS), description="order of `most_idle`, the largest first"),
    OpenApiParameter("hot_by", str, enum=list(HOT_ORDERS), description="order of `hottest`"),
    OpenApiParameter("errors_by", str, enum=list(ERROR_ORDERS), description="order of `most_errors`"),
]


class FleetPartsSerializer(serializers.Serializer[Any]):
    """GPUs by what each is at the moment: the seven add up to `total`. One that is cut up counts once."""

    total = serializers.IntegerField()
    used = serializers.IntegerField()
    idle = serializers.IntegerField(help_text="handed over, and at rest for ten minutes")
    unmeasured = serializers.IntegerField(help_text="handed over, nothing measured")
    booked = serializers.IntegerField(help_text="a reservation has it, nobody has access")
    free = serializers.IntegerField()
    maintenance = serializers.IntegerField()
    ill = serializers.IntegerField(help_text="or silent")


class FleetDeviceSerializer(serializers.Serializer[Any]):
    """One device at the moment; figures are null where nothing was measured. Of the past the state is
    null where it was in service."""

    id = serializers.CharField()
    name = serializers.CharField()
    node = serializers.CharField()
    pool = serializers.CharField()
    index = serializers.IntegerField()
    profile = serializers.CharField(help_text="of a MIG instance")
    part = serializers.ChoiceField(choices=Part.values)
    state = serializers.CharField(allow_null=True)
    state_reason = serializers.CharField(allow_null=True)
    health = serializers.CharField(allow_null=True)
    utilisation_percent = serializers.FloatField(allow_null=True)
    sm_active_percent = serializers.FloatField(allow_null=True)
    tensor_active_percent = serializers.FloatField(allow_null=True)
    memory_used_mib = serializers.FloatField(allow_null=True)
    memory_mib = serializers.IntegerField()
    power_watts = serializers.FloatField(allow_null=True)
    power_limit_watts = serializers.IntegerField(allow_null=True)
    temperature_c = serializers.FloatField(allow_null=True)
    lease = serializers.CharField(allow_null=True)
    organisation = serializers.CharField(allow_null=True)


class FleetIdleSerializer(serializers.Serializer[Any]):
    """A running reservation with idle hours: decided ones alone, in seconds of whole GPUs."""

    lease = serializers.CharField()
    organisation = serializers.CharField()
    devices = serializers.IntegerField()
    idle_seconds = serializers.IntegerField()
    held_seconds = serializers.IntegerField()
    idle_percent = serializers.FloatField(help_text="of what was measured")
    held_until = serializers.DateTimeField()


class FleetHotSerializer(serializers.Serializer[Any]):
    """A hot device."""

    device = serializers.CharField(source="public_id")
    name = serializers.CharField()
    temperature_c = serializers.FloatField()
    power_watts = serializers.FloatField(allow_null=True)
    utilisation_percent = serializers.FloatField(allow_null=True)


class FleetErrorsSerializer(serializers.Serializer[Any]):
    """A device with errors in the thirty days before the moment."""

    device = serializers.CharField(source="gpu.public_id")
    name = serializers.CharField(source="gpu.name")
    total = serializers.IntegerField(source="errors", help_text="errors of all kinds")
    xids = serializers.IntegerField()
    last_xid = serializers.CharField(allow_null=True)
    last_at = serializers.DateTimeField()


class FleetSerializer(serializers.Serializer[Any]):
    """The screen."""

    at = serializers.DateTimeField()
    resolution = serializers.ChoiceField(choices=["now", "minutes", "hours"])
    counts = FleetPartsSerializer()
    held_seconds = serializers.IntegerField(help_text="decided since yesterday's beginning in Seoul, of whole GPUs")
    used_seconds = serializers.IntegerField(help_text="of these")
    count = serializers.IntegerField(help_text="devices on all pages together, MIG instances among them")
    next = serializers.URLField(allow_null=True, help_text="the next page of `devices`")
    previous = serializers.URLField(allow_null=True)
    devices = FleetDeviceSerializer(many=True)
    most_idle = FleetIdleSerializer(many=True)
    hottest = FleetHotSerializer(many=True)
    most_errors = FleetErrorsSerializer(many=True)


class DevicePages(Pages):
    """Larger than elsewhere: whatever the page, the whole fleet is counted for the bar."""

    page_size = 200
    max_page_size = 1000


class FleetView(APIView):
    """What the staff page shows, from the same question."""

    @extend_schema(parameters=FILTERS, responses=FleetSerializer, operation_id="fleet_retrieve", tags=["fleet"])
    def get(self, request: Request) -> Response:
        """Agency staff only; for everybody else the address does not exist. `devices` come in pages, everything else
        is of all of them.
        """
        staff_only(request.user)
        form, now, pages = FleetForm(request.query_params), timezone.now(), DevicePages()
        if not form.is_valid():
            raise ValidationError(form.errors)
        sorts = Sorts(*(request.query_params.get(name, "") for name in ("idle_by", "hot_by", "errors_by")))
        size = pages.get_page_size(request) or pages.page_size
        page = page_number(request.query_params.get("page", ""))
        wanted = Asked(limit=size, offset=(page - 1) * size, part=form.said("part") or "")
        found = screen(form.moment(now), form.which, sorts, now, wanted)
        pages.paginate_queryset(range(found.picture.counted.matching), request, view=self)  # type: ignore[arg-type]
        return Response(_body(found, pages))


def _body(found: Screen, pages: DevicePages) -> dict[str, Any]:
    """As FleetSerializer says it; the devices are written here: a serializer for each of a thousand takes long."""
    picture = found.picture
    return {
        "at": picture.when.at,
        "resolution": picture.when.source,
        "counts": {"total": picture.total} | {share.part.value: share.gpus for share in picture.shares},
        "held_seconds": found.use.held_seconds,
        "used_seconds": found.use.used_seconds,
        "count": picture.counted.matching,
        "next": pages.get_next_link(),
        "previous": pages.get_previous_link(),
        "devices": [_device(picture, gpu) for gpu in picture.rows],
        "most_idle": [_idle(row) for row in found.idle],
        "hottest": FleetHotSerializer(found.hot, many=True).data,
        "most_errors": _errors(found.faulty),
    }


def _device(picture: Picture, gpu: Gpu) -> dict[str, Any]:
    holding, past = picture.holding(gpu), picture.when.past
    return {
        "id": gpu.public_id,
        "name": gpu.name,
        "node": gpu.node,
        "pool": gpu.pool,
        "index": gpu.position,
        "profile": gpu.profile,
        "part": gpu.part.value,
        "state": gpu.state or None,
        "state_reason": None if past else gpu.state_reason,
        "health": gpu.health,
        "utilisation_percent": gpu.utilisation_percent,
        "sm_active_percent": gpu.sm_active_percent,
        "tensor_active_percent": gpu.tensor_active_percent,
        "memory_used_mib": gpu.memory_used_mib,
        "memory_mib": gpu.memory_mib,
        "power_watts": gpu.power_watts,
        "power_limit_watts": gpu.power_limit_watts,
        "temperature_c": gpu.temperature_c,
        "lease": holding.public_id if holding else None,
        "organisation": holding.organisation if holding else None,
    }


def _idle(row: IdleHolding) -> dict[str, Any]:
    return {
        "lease": row.holding.public_id,
        "organisation": row.holding.organisation,
        "devices": row.holding.device_count,
        "idle_seconds": row.sums.unused_seconds,
        "held_seconds": row.sums.held_seconds,
        "idle_percent": round(row.share, 1),
        "held_until": row.holding.ends_at,
    }


def _errors(rows: list[Faulty]) -> Any:
    return FleetErrorsSerializer(rows, many=True).data
