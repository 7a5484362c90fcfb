"""Read-only questions across the apps."""
