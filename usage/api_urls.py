"""API routes of usage; portal.urls mounts them under /api/v1/."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from usage.api.idle import IdleCaseViewSet, IdleNowView, IdleRuleViewSet

router = SimpleRouter()
router.register("idle-cases", IdleCaseViewSet, basename="idle-case")
router.register("idle-rules", IdleRuleViewSet, basename="idle-rule")
urlpatterns = [path("idle-now/<slug:public_id>/", IdleNowView.as_view(), name="idle-now")]
