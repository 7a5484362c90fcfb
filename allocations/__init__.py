"""Allocations, leases, placements, the ledger and the reconciler."""
