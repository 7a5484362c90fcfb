"""What every app stands on. Knows no word of the domain."""
