"""Pages of the partners' wing."""
