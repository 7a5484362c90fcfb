"""Statements of use, rules about idle GPUs and the cases that follow from them."""

from usage.models.cases import CaseDevice, CaseStep, IdleCase
from usage.models.idle_rules import IdleRule
from usage.models.statements import Statement

__all__ = ["CaseDevice", "CaseStep", "IdleCase", "IdleRule", "Statement"]
