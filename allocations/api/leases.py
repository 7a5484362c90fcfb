"""The API skin of reservations: the same verbs as the pages."""

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import SshKey
from allocations import sheet
from allocations.api.measured import MeasuredActions
from allocations.api.reshapes import ReshapeActions
from allocations.api.usage import UsageActions
from allocations.filters import LeaseFilter
from allocations.models import Allocation, Lease
from allocations.selectors import (
    leases,
    rulebooks,
)
from allocations.selectors.usage import use_of
from allocations.serializers.booking import BookSerializer, ChangeSerializer, ExtendSerializer
from allocations.serializers.leases import (
    BillSerializer,
    CertificateAskSerializer,
    CertificateSerializer,
    LeaseDeviceSerializer,
    LeaseSerializer,
    ReclaimSerializer,
    SignedHandoverSerializer,
)
from allocations.serializers.usage import LeaseUseSerializer
from allocations.serializers.waitlist import DeclineSerializer
from allocations.services import access, booking, changing, ending, extending, offering, reclaiming
from cluster.api import said_in
from common.api import ReadViewSet


@extend_schema_view(
    release=extend_schema(request=None, responses=LeaseSerializer),
    cancel=extend_schema(request=None, responses=LeaseSerializer),
    retry=extend_schema(request=None, responses=LeaseSerializer),
)
class LeaseViewSet(MeasuredActions, ReshapeActions, UsageActions, ReadViewSet):
    """Reservations and their verbs."""

    queryset = Lease.objects.select_related("allocation__project__organisation", "allocation__pool", "booked_by")
    serializer_class = LeaseSerializer
    filterset_class = LeaseFilter

    def _shown(self, lease: Lease, code: int = status.HTTP_200_OK) -> Response:
        return Response(LeaseSerializer(lease).data, status=code)

    @extend_schema(request=BookSerializer, responses={201: LeaseSerializer})
    def create(self, request: Request) -> Response:
        """Book a window."""
        ask = said_in(request, BookSerializer)
        mine = Allocation.objects.visible_to(request.user)
        ask["allocation"] = get_object_or_404(mine, public_id=ask["allocation"])
        return self._shown(booking.book(actor=request.user, **ask), status.HTTP_201_CREATED)

    @action(detail=True, methods=["post"])
    def release(self, request: Request, public_id: str) -> Response:
        """Give it back early."""
        return self._shown(ending.release(actor=request.user, lease=self.get_object()))

    @extend_schema(request=None, responses=LeaseSerializer)
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, public_id: str) -> Response:
        """Take an offer of the wait-list, whole, until `offer_until`."""
        return self._shown(offering.accept(actor=request.user, lease=self.get_object()))

    @extend_schema(request=DeclineSerializer, responses=LeaseSerializer)
    @action(detail=True, methods=["post"])
    def decline(self, request: Request, public_id: str) -> Response:
        """Let an offer of the wait-list go; `stay` false: leave the list, too."""
        lease, said = self.get_object(), said_in(request, DeclineSerializer)
        return self._shown(offering.decline(actor=request.user, lease=lease, **said))

    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, public_id: str) -> Response:
        """Give it up before it begins."""
        return self._shown(ending.cancel(actor=request.user, lease=self.get_object()))

    @extend_schema(request=ExtendSerializer, responses=LeaseSerializer)
    @action(detail=True, methods=["post"])
    def extend(self, request: Request, public_id: str) -> Response:
        """Move the end; it counts when the nodes have acknowledged it (`pending_ends_at` is null again)."""
        lease, ask = self.get_object(), said_in(request, ExtendSerializer)
        return self._shown(extending.extend(actor=request.user, lease=lease, **ask))

    @extend_schema(request=ChangeSerializer, responses=LeaseSerializer)
    @action(detail=True, methods=["post"])
    def change(self, request: Request, public_id: str) -> Response:
        """Give it another size, window or shape before it begins; all of it or nothing."""
        lease, ask = self.get_object(), said_in(request, ChangeSerializer)
        return self._shown(changing.change(actor=request.user, lease=lease, **ask))

    @extend_schema(request=ReclaimSerializer, responses=LeaseSerializer)
    @action(detail=True, methods=["post"])
    def reclaim(self, request: Request, public_id: str) -> Response:
        """Take it back for the agency."""
        lease, ask = self.get_object(), said_in(request, ReclaimSerializer)
        return self._shown(ending.reclaim(actor=request.user, lease=lease, **ask))

    @action(detail=True, methods=["post"])
    def retry(self, request: Request, public_id: str) -> Response:
        """Try a stuck return again, after an operator has looked after it."""
        return self._shown(reclaiming.retry(actor=request.user, lease=self.get_object()))

    @extend_schema(request=CertificateAskSerializer, responses={201: CertificateSerializer})
    @action(detail=True, methods=["post"])
    def certificate(self, request: Request, public_id: str) -> Response:
        """An SSH certificate for one of one's own keys."""
        lease, ask = self.get_object(), said_in(request, CertificateAskSerializer)
        key = get_object_or_404(SshKey.objects.visible_to(request.user), public_id=ask["ssh_key"])  # type: ignore[arg-type]
        made = access.issue_certificate(actor=request.user, lease=lease, ssh_key=key)
        return Response(CertificateSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=LeaseDeviceSerializer(many=True), filters=False)
    @action(detail=True, filterset_class=None, pagination_class=None)
    def devices(self, request: Request, public_id: str) -> Response:
        """Its devices, each with the latest sample of this reservation's own use; never of what was before or after."""
        rows = leases.lease_devices(self.get_object(), timezone.now())
        return Response(LeaseDeviceSerializer(rows, many=True).data)

    @extend_schema(responses=SignedHandoverSerializer)
    @action(detail=True, filterset_class=None, pagination_class=None)
    def handover(self, request: Request, public_id: str) -> Response:
        """The evidence of each device at the start and at the end, signed by the portal (Ed25519)."""
        return Response(sheet.signed_handover(self.get_object()))

    @extend_schema(responses=BillSerializer)
    @action(detail=True, filterset_class=None, pagination_class=None)
    def bill(self, request: Request, public_id: str) -> Response:
        """What would be charged and what would come back if the partner cancelled or released it now."""
        found = rulebooks.bill_of(self.get_object(), timezone.now())
        return Response(BillSerializer(found).data)

    @extend_schema(responses=LeaseUseSerializer)
    @action(detail=True, filterset_class=None, pagination_class=None)
    def usage(self, request: Request, public_id: str) -> Response:
        """What was made of what it holds: decided hours, and those that are provisional, so far or in all."""
        return Response(LeaseUseSerializer(use_of(self.get_object(), timezone.now())).data)
