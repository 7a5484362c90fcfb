"""What leaves as a spreadsheet is never run by one: neither a cell nor a heading."""

from io import BytesIO

import openpyxl
import pytest

from common.tables import csv_rows
from common.workbooks import xlsx_bytes


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_nothing_begins_a_formula(sign: str) -> None:
    text = f"{sign}1+1"
    heading, row = list(csv_rows([text], [[text]]))
    assert heading.lstrip("\ufeff").lstrip('"').startswith("'") and row.lstrip('"').startswith("'")


def test_a_heading_of_a_workbook_is_text() -> None:
    book = openpyxl.load_workbook(BytesIO(xlsx_bytes("x", ["=1+1", "bell\x07"], [["=2", 3]])))
    cells = [cell for line in book.worksheets[0].iter_rows() for cell in line]
    assert [(cell.value, cell.data_type) for cell in cells[:3]] == [("'=1+1", "s"), ("bell", "s"), ("'=2", "s")]
