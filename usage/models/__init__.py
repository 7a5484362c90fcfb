"""Statements of use, rules about idle GPUs and the cases that follow from them."""

from usage.models.statements import Statement

__all__ = ["Statement"]
