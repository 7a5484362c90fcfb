"""Verbs on organisations, their people and their agreements."""
