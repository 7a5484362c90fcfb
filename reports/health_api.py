"""XID rules, repeat offenders, sharing of nodes and checks of devices, for scripts: the services of the pages."""

from typing import Any

from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from allocations.serializers.waitlist import HoldSerializer
from allocations.services.pools import LONGEST_TURNAROUND, MOST_OVERCOMMIT, hold_offers, set_terms, share_nodes
from cluster.api import PoolViewSet, said_in
from cluster.models import Device, Inspection, XidPolicy
from cluster.serializers import ReasonSerializer, StaffPoolSerializer
from cluster.services import policies
from common.web import staff_only
from reports.selectors.health import RuleRow, xid_rules
from reports.selectors.offenders import Offender, repeat_offenders
from reports.selectors.refused import refused


class XidRuleSerializer(serializers.Serializer[Any]):
    """A rule in force; `own`: a site's own, over the built-in one."""

    xid = serializers.IntegerField()
    meaning = serializers.CharField()
    level = serializers.CharField()
    tell_partner = serializers.BooleanField()
    repeat_count = serializers.IntegerField(allow_null=True)
    repeat_days = serializers.IntegerField(allow_null=True)
    own = serializers.BooleanField()


class ChangeXidSerializer(ReasonSerializer):
    """A site's own rule, whole: what is left out is as in the defaults here."""

    level = serializers.ChoiceField(choices=Device.Health.choices)
    tell_partner = serializers.BooleanField(default=False)
    repeat_count = serializers.IntegerField(min_value=1, max_value=1000, allow_null=True, default=None)
    repeat_days = serializers.IntegerField(min_value=1, max_value=365, allow_null=True, default=None)
    note = serializers.CharField(max_length=200, allow_blank=True, default="")


class OffenderSerializer(serializers.Serializer[Any]):
    """A device with three troubles or more in thirty days."""

    device = serializers.CharField()
    node = serializers.CharField()
    index = serializers.IntegerField()
    serious_xids = serializers.IntegerField()
    quarantines = serializers.IntegerField()
    failed_checks = serializers.IntegerField()
    total = serializers.IntegerField()


class RefusedSerializer(serializers.Serializer[Any]):
    """Calls refused; `node` is null where no token named one."""

    node = serializers.CharField(allow_null=True)
    code = serializers.CharField()
    times = serializers.IntegerField()
    last_at = serializers.DateTimeField()


class InspectionSerializer(serializers.ModelSerializer[Inspection]):
    """A check between reservations."""

    class Meta:
        model = Inspection
        fields = ("at", "passed", "checks", "reading")


class ShareSerializer(ReasonSerializer):
    """Whether organisations may share a node, and why."""

    shared = serializers.BooleanField()


class TermsSerializer(ReasonSerializer):
    """Cleaning between reservations, and the bound of over-commitment."""

    turnaround_seconds = serializers.IntegerField(min_value=0, max_value=LONGEST_TURNAROUND)
    overcommit_percent = serializers.IntegerField(min_value=0, max_value=MOST_OVERCOMMIT)


class XidRules(APIView):
    """The rules in force."""

    @extend_schema(responses=XidRuleSerializer(many=True), operation_id="xid_policies_list", tags=["xid-policies"])
    def get(self, request: Request) -> Response:
        """By number. Agency staff only; for everybody else the address does not exist."""
        staff_only(request.user)
        return Response(XidRuleSerializer([_rule(row) for row in xid_rules()], many=True).data)


class XidRule(APIView):
    """One XID's rule."""

    @extend_schema(responses=XidRuleSerializer, operation_id="xid_policies_retrieve", tags=["xid-policies"])
    def get(self, request: Request, xid: str) -> Response:
        """The rule in force. 404 where there is none: such an XID warns. Agency staff only."""
        staff_only(request.user)
        for row in xid_rules():
            if row.rule.xid == _number(xid):
                return Response(XidRuleSerializer(_rule(row)).data)
        raise Http404

    @extend_schema(request=ChangeXidSerializer, responses=XidRuleSerializer, tags=["xid-policies"])
    def put(self, request: Request, xid: str) -> Response:
        """A site's own rule, for XIDs from now on. Operators only."""
        staff_only(request.user)
        row = policies.change(actor=request.user, xid=_number(xid), **said_in(request, ChangeXidSerializer))
        return Response(XidRuleSerializer(_rule(RuleRow(policies.rule_for(row.xid), row))).data)

    @extend_schema(request=ReasonSerializer, responses={204: None}, tags=["xid-policies"])
    def delete(self, request: Request, xid: str) -> Response:
        """Back to the built-in rule; 404 where there is none of the site's own. Operators only."""
        staff_only(request.user)
        own, said = XidPolicy.objects.filter(xid=_number(xid)).first(), said_in(request, ReasonSerializer)
        if own is None:
            raise Http404
        policies.forget(actor=request.user, policy=own, reason=said["reason"])
        return Response(status=status.HTTP_204_NO_CONTENT)


class Offenders(APIView):
    """Devices that were ill often."""

    @extend_schema(responses=OffenderSerializer(many=True), operation_id="offenders_list", tags=["fleet"])
    def get(self, request: Request) -> Response:
        """Worst first. Agency staff only."""
        staff_only(request.user)
        rows = [_offender(row) for row in repeat_offenders(timezone.now())]
        return Response(OffenderSerializer(rows, many=True).data)


class RefusedCalls(APIView):
    """What the node API refused in the last week."""

    @extend_schema(responses=RefusedSerializer(many=True), operation_id="refused_calls_list", tags=["fleet"])
    def get(self, request: Request) -> Response:
        """By node and code, the most frequent first. Agency staff only."""
        staff_only(request.user)
        rows = [{**vars(row), "node": row.node and row.node.public_id} for row in refused(timezone.now())]
        return Response(RefusedSerializer(rows, many=True).data)


class SharedPools(PoolViewSet):
    """Pools: everybody who is signed in may read them."""

    @extend_schema(request=ShareSerializer, responses=StaffPoolSerializer)
    @action(detail=True, methods=["post"], url_path="share-nodes")
    def share_nodes(self, request: Request, public_id: str) -> Response:
        """May organisations share a node of this pool? Refused while two do. Operators only."""
        pool = self.get_object()
        staff_only(request.user)
        share_nodes(actor=request.user, pool=pool, **said_in(request, ShareSerializer))
        return Response(StaffPoolSerializer(self.get_object()).data)

    @extend_schema(request=HoldSerializer, responses=StaffPoolSerializer)
    @action(detail=True, methods=["post"], url_path="hold-offers")
    def hold_offers(self, request: Request, public_id: str) -> Response:
        """How long are offers of its wait-list held, from the next one on? Officers only."""
        pool = self.get_object()
        staff_only(request.user)
        hold_offers(actor=request.user, pool=pool, **said_in(request, HoldSerializer))
        return Response(StaffPoolSerializer(self.get_object()).data)

    @extend_schema(request=TermsSerializer, responses=StaffPoolSerializer)
    @action(detail=True, methods=["post"])
    def terms(self, request: Request, public_id: str) -> Response:
        """How long it is cleaned between reservations, and how far its awards may exceed it. Operators and officers."""
        pool = self.get_object()
        staff_only(request.user)
        set_terms(actor=request.user, pool=pool, **said_in(request, TermsSerializer))
        return Response(StaffPoolSerializer(self.get_object()).data)


def _number(text: str) -> int:
    """The XID of an address; 404 in the API's own form for what is none."""
    xid = policies.xid_in(text)
    if xid is None:
        raise Http404
    return xid


def _rule(row: RuleRow) -> dict[str, Any]:
    names = ("xid", "meaning", "level", "tell_partner", "repeat_count", "repeat_days")
    return {**{name: getattr(row.rule, name) for name in names}, "own": row.own is not None}


def _offender(row: Offender) -> dict[str, Any]:
    return {
        "device": row.device.public_id,
        "node": row.device.node.name,
        "index": row.device.index,
        "serious_xids": row.xids,
        "quarantines": row.quarantines,
        "failed_checks": row.failed_checks,
        "total": row.total,
    }
