"""Reviews and reviewers, to the API."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from common.api import ReadViewSet
from common.permissions import require
from partners.api import body_of
from partners.serializers import WrittenReasonSerializer
from proposals.models import Assignment, Proposal, ReviewerInvitation, ReviewerProfile
from proposals.review_filters import AssignmentFilter, ReviewerFilter
from proposals.rules import may_assign
from proposals.selectors.reading import for_reading, reading_copy
from proposals.selectors.reviewers import open_invitations, people_of_pool, with_loads
from proposals.serializers import reviewing as shapes
from proposals.services import assigning, declaring, reviewers, reviewing

_SHOWN = shapes.AssignmentSerializer


@extend_schema_view(
    declare=extend_schema(request=shapes.DeclarationSerializer, responses={200: _SHOWN, 204: None}),
    draft=extend_schema(request=shapes.GivenReviewSerializer, responses=_SHOWN),
    submit=extend_schema(request=shapes.GivenReviewSerializer, responses=_SHOWN),
    reopen=extend_schema(request=WrittenReasonSerializer, responses=_SHOWN),
    remove=extend_schema(request=WrittenReasonSerializer, responses=_SHOWN),
)
class ReviewViewSet(ReadViewSet):
    """Reviews: reviewers see what was sent to them, without what stands in conflict; officers and auditors all."""

    queryset = for_reading(Assignment.objects.order_by("pk")).prefetch_related(
        "proposal__team", "review__scores__criterion"
    )
    serializer_class = _SHOWN
    filterset_class = AssignmentFilter

    @extend_schema(request=shapes.NewAssignmentSerializer, responses={201: _SHOWN})
    def create(self, request: Request) -> Response:
        """Give a proposal to a reviewer by hand (officers)."""
        proposal, person, _ask = self._pair(request, shapes.NewAssignmentSerializer)
        made = assigning.assign(actor=request.user, proposal=proposal, reviewer=person)
        return self._shown(made, status.HTTP_201_CREATED)

    @extend_schema(
        request=shapes.WaiverSerializer,
        responses=shapes.ConflictSerializer(many=True),  # type: ignore[call-arg]
    )
    @action(detail=False, methods=["post"], filterset_class=None, pagination_class=None)
    def waive(self, request: Request) -> Response:
        """Set aside every conflict that stands between a reviewer and a proposal now (officers)."""
        proposal, person, ask = self._pair(request, shapes.WaiverSerializer)
        rows = declaring.waive(actor=request.user, proposal=proposal, reviewer=person, reason=ask["reason"])
        return Response(shapes.ConflictSerializer(rows, many=True).data)

    @extend_schema(responses=shapes.ReadingSerializer)
    @action(detail=True, methods=["get"])
    def proposal(self, request: Request, public_id: str) -> Response:
        """The proposal as its reviewer may read it; 404 for everybody else, and before the declaration."""
        own = for_reading(Assignment.objects.opened_to(request.user))
        return Response(shapes.ReadingSerializer(reading_copy(get_object_or_404(own, public_id=public_id))).data)

    @action(detail=True, methods=["post"])
    def declare(self, request: Request, public_id: str) -> Response:
        """Say whether a conflict of interest stands in the way. With one it is gone: 204."""
        assignment = self.get_object()
        ask = body_of(shapes.DeclarationSerializer, request)
        declaring.declare(actor=request.user, assignment=assignment, **ask)
        if ask["conflict"]:
            return Response(status=status.HTTP_204_NO_CONTENT)
        return self._shown(assignment)

    @action(detail=True, methods=["post"])
    def draft(self, request: Request, public_id: str) -> Response:
        """Keep what was written; it may be incomplete."""
        return self._written(reviewing.save_draft, request)

    @action(detail=True, methods=["post"])
    def submit(self, request: Request, public_id: str) -> Response:
        """Hand it in, whole."""
        return self._written(reviewing.submit, request)

    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, public_id: str) -> Response:
        """Give it back to be changed (officers)."""
        return self._reasoned(reviewing.reopen, request)

    @action(detail=True, methods=["post"])
    def remove(self, request: Request, public_id: str) -> Response:
        """Take it away from its reviewer (officers)."""
        return self._reasoned(assigning.remove, request)

    def _pair(self, request: Request, shape: Any) -> tuple[Proposal, User, dict[str, Any]]:
        require(request.user, may_assign)
        ask = body_of(shape, request)
        proposals = Proposal.objects.visible_to(request.user)
        proposal = get_object_or_404(proposals, public_id=ask["proposal"])
        return proposal, get_object_or_404(people_of_pool(), public_id=ask["reviewer"]), ask

    def _written(self, verb: Any, request: Request) -> Response:
        assignment = self.get_object()
        ask = body_of(shapes.GivenReviewSerializer, request)
        content = shapes.review_from(ask)
        verb(actor=request.user, assignment=assignment, content=content, revision=ask["revision"])
        return self._shown(assignment)

    def _reasoned(self, verb: Any, request: Request) -> Response:
        assignment = self.get_object()
        ask = body_of(WrittenReasonSerializer, request)
        verb(actor=request.user, assignment=assignment, **ask)
        return self._shown(assignment)

    def _shown(self, assignment: Assignment, code: int = status.HTTP_200_OK) -> Response:
        return Response(self.get_serializer(self.queryset.get(pk=assignment.pk)).data, status=code)


class ReviewerViewSet(ReadViewSet):
    """The pool of reviewers: the agency sees all, a reviewer their own profile."""

    queryset = with_loads(ReviewerProfile.objects.prefetch_related("former_employers").order_by("pk"))
    serializer_class = shapes.ReviewerSerializer
    filterset_class = ReviewerFilter

    @extend_schema(request=shapes.ProfileSerializer, responses=shapes.ReviewerSerializer)
    def update(self, request: Request, public_id: str) -> Response:
        """Replace a profile: reviewers their own, officers all."""
        profile = self.get_object()
        ask = body_of(shapes.ProfileSerializer, request)
        content = shapes.profile_from(ask)
        reviewers.save_profile(actor=request.user, profile=profile, content=content, revision=ask["revision"])
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=shapes.InviteReviewerSerializer, responses={201: shapes.InvitedSerializer})
    @action(detail=False, methods=["post"], filterset_class=None)
    def invite(self, request: Request) -> Response:
        """Invite an address to the pool by mail (officers)."""
        ask = body_of(shapes.InviteReviewerSerializer, request)
        made = reviewers.invite(actor=request.user, email=ask["email"], expertise=shapes.expertise_from(ask))
        return Response(shapes.InvitedSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=shapes.InvitedSerializer(many=True))
    @action(detail=False, methods=["get"], filterset_class=None, pagination_class=None)
    def invitations(self, request: Request) -> Response:
        """Who was invited and has not joined yet (officers)."""
        require(request.user, may_assign)
        return Response(shapes.InvitedSerializer(open_invitations(), many=True).data)

    @extend_schema(request=shapes.InvitationSerializer, responses=shapes.InvitedSerializer)
    @action(detail=False, methods=["post"], filterset_class=None, url_path="revoke-invitation")
    def revoke_invitation(self, request: Request) -> Response:
        """Make the link of an invitation worthless (officers)."""
        require(request.user, may_assign)
        ask = body_of(shapes.InvitationSerializer, request)
        row = get_object_or_404(ReviewerInvitation, public_id=ask["invitation"])
        return Response(shapes.InvitedSerializer(reviewers.revoke(actor=request.user, invitation=row)).data)
