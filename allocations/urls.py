"""Addresses of allocations."""

app_name = "allocations"
urlpatterns: list = []
