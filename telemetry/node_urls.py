"""Addresses for agents only (samples), under /api/node/v1/."""

urlpatterns: list = []
