"""Shapes of the forms of usage."""
