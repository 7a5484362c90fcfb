"""Questions across the nouns of allocations, a file a subject. Nothing here writes."""
