"""The file to fill in."""

import io
from collections.abc import Iterator
from typing import Any

import openpyxl
from django.utils.translation import gettext as _
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from common.tables import csv_rows
from proposals.models import Call
from proposals.services.imports.columns import COLUMNS, ImportColumn
from proposals.services.imports.questions import question_columns


def columns_for(call: Call | None) -> list[ImportColumn]:
    """The columns that a file for a call has; None: those that every call has."""
    return [*COLUMNS, *(question_columns(call) if call is not None else ())]


def template_xlsx(call: Call | None = None) -> bytes:
    """A workbook: header and an example row, and a sheet that says what belongs into each column."""
    columns = columns_for(call)
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.title = _("Proposals")
    sheet.append([column.label for column in columns])
    sheet.append([column.example for column in columns])
    for place, column in enumerate(columns, start=1):
        sheet.cell(1, place).font = Font(bold=column.needed)
        sheet.column_dimensions[get_column_letter(place)].width = max(14, len(column.example) + 4)
        sheet.column_dimensions[get_column_letter(place)].number_format = "@"
    sheet.freeze_panes = "A2"
    notes = book.create_sheet(_("Columns"))
    notes.append([_("Column"), _("Needed"), _("What belongs there")])
    for column in columns:
        notes.append([column.label, _("yes") if column.needed else _("no"), column.help])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def template_csv(call: Call | None = None) -> Iterator[str]:
    """The same as CSV with a byte-order mark, so that Excel reads the Korean."""
    columns = columns_for(call)
    return csv_rows([column.label for column in columns], [[column.example for column in columns]])
