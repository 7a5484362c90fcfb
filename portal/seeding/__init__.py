"""Synthetic programmes: for measuring, and for the demonstration."""
