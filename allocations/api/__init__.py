"""The API skin of allocations: the same verbs as the pages, one module a concern."""
