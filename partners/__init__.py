"""Organisations, their members, and the agreements (MOUs) that say what they may do."""
