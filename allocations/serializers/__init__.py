"""Shapes of the API of allocations, one module a concern."""
