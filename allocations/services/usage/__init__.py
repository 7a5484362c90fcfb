"""Deciding what held minutes were, and correcting it."""
