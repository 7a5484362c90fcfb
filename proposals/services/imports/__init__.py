"""Proposals that arrive in a spreadsheet: read within bounds, looked at row by row, brought in all or none."""

from proposals.services.imports.keeping import keep, kept
from proposals.services.imports.problems import ImportReport, Problem
from proposals.services.imports.template import template_csv, template_xlsx
from proposals.services.imports.writing import import_proposals

__all__ = [
    "ImportReport",
    "Problem",
    "import_proposals",
    "keep",
    "kept",
    "template_csv",
    "template_xlsx",
]
