"""Addresses for agents only, under /api/node/v1/."""

urlpatterns: list = []
