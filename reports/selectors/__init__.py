"""Questions across the apps; nothing here writes."""
