"""What leaves as a spreadsheet is never run by one: neither a cell nor a heading."""

from decimal import Decimal
from io import BytesIO

import openpyxl
import pytest
from django.utils import timezone, translation
from django.utils.functional import lazystr

from common.downloads import csv_file
from common.tables import csv_rows
from common.templatetags.bitgoeul import number, percent
from common.workbooks import xlsx_bytes


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_nothing_begins_a_formula(sign: str) -> None:
    text = f"{sign}1+1"
    heading, row = list(csv_rows([text], [[text]]))
    assert heading.lstrip("\ufeff").lstrip('"').startswith("'") and row.lstrip('"').startswith("'")


def test_what_is_no_text_yet_begins_none_either() -> None:
    class Person:
        def __str__(self) -> str:
            return "=1+1"

    assert [*csv_rows(["x"], [[Person(), lazystr("@x"), -1, Decimal("-0.5"), None, True]])][1:] == [
        "'=1+1,'@x,-1,-0.5,,True\r\n"
    ]


def test_a_file_is_written_in_the_zone_and_language_of_whoever_asked() -> None:
    with timezone.override("America/New_York"), translation.override("en"):
        spoken = (f"{timezone.get_current_timezone_name()} {translation.get_language()}\n" for _line in range(2))
        answer = csv_file(spoken, "x")
    with translation.override("ko"):  # as after the view, in the server's own turn
        assert b"".join(answer).decode() == "America/New_York en\n" * 2
    assert "no-store" in answer["Cache-Control"] and answer["Content-Disposition"] == 'attachment; filename="x.csv"'


def test_a_heading_of_a_workbook_is_text() -> None:
    book = openpyxl.load_workbook(BytesIO(xlsx_bytes("x", ["=1+1", "bell\x07"], [["=2", 3]])))
    cells = [cell for line in book.worksheets[0].iter_rows() for cell in line]
    assert [(cell.value, cell.data_type) for cell in cells[:3]] == [("'=1+1", "s"), ("bell", "s"), ("'=2", "s")]


def test_a_number_is_rounded_and_never_cut_off() -> None:
    assert number(Decimal("15.0462"), 2) == "15.05"
    assert number(Decimal("1234.5")) == "1,235" and number(None, 2) == "–"
    assert number(18.75) == "19" and number(1.96, 1) == "2.0" and number(7) == "7"
    assert percent(3, 16).startswith("19") and percent(1, 0) == "–"
