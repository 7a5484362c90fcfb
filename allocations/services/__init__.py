"""The verbs of allocations."""
