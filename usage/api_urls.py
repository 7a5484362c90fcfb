"""API routes of usage; portal.urls mounts them under /api/v1/."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from usage.api.figures import FiguresView, ProjectUseView
from usage.api.idle import IdleCaseViewSet, IdleNowView, IdleRuleViewSet
from usage.api.statements import StatementViewSet
from usage.api.sums import UsageView

router = SimpleRouter()
router.register("idle-cases", IdleCaseViewSet, basename="idle-case")
router.register("idle-rules", IdleRuleViewSet, basename="idle-rule")
router.register("statements", StatementViewSet, basename="statement")
urlpatterns = [
    path("organisations/<slug:public_id>/figures/", FiguresView.as_view(), name="organisation-figures"),
    path("projects/<slug:public_id>/use/", ProjectUseView.as_view(), name="project-use"),
    path("usage/", UsageView.as_view(), name="usage"),
    path("idle-now/<slug:public_id>/", IdleNowView.as_view(), name="idle-now"),
]
