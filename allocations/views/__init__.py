"""The pages of allocations and reservations."""
