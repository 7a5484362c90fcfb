"""Shapes of the API of usage."""
