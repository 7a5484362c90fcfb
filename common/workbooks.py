"""Rows as an Excel workbook: the same rows, and the same caution, as common.tables has for CSV."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font

from common.errors import Text
from common.tables import safe_cell

ILLEGAL_TITLE = re.compile(r"[\\\[\]:*?/']")


def xlsx_bytes(title: str, header: Iterable[Text], rows: Iterable[Iterable[Any]]) -> bytes:
    """A workbook of one sheet. Text stays text, whatever it begins with; moments are UTC without a zone, for Excel."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet(ILLEGAL_TITLE.sub(" ", title)[:31] or "1")
    sheet.freeze_panes = "A2"
    heads = []
    for label in header:
        cell = _cell(sheet, str(label))
        cell.font = Font(bold=True)
        heads.append(cell)
    sheet.append(heads)
    for row in rows:
        sheet.append([_cell(sheet, value) for value in row])
    out = BytesIO()
    book.save(out)
    return out.getvalue()


def _cell(sheet: Any, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | Decimal):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    cell = WriteOnlyCell(sheet, value=ILLEGAL_CHARACTERS_RE.sub("", str(safe_cell(str(value)))))
    cell.data_type = "s"  # never a formula
    return cell
