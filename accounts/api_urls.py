"""API routes of accounts; portal.urls mounts them under /api/v1/."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from accounts import schema  # noqa: F401 - registers the ways to sign in
from accounts.api import ApiTokenViewSet, MeView, PersonViewSet, SshKeyViewSet

router = SimpleRouter()
router.register("ssh-keys", SshKeyViewSet, basename="ssh-key")
router.register("tokens", ApiTokenViewSet, basename="token")
router.register("people", PersonViewSet, basename="person")
urlpatterns = [path("me/", MeView.as_view(), name="me")]
