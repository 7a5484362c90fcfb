"""Shapes of the forms of allocations, one module a concern. Other apps ask for a moment in the same way."""

from allocations.forms.moments import MomentField

__all__ = ["MomentField"]
