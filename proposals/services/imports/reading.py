"""A spreadsheet as rows of text, within bounds: XLSX by its bytes, else text in UTF-8 or CP949 (Korean Excel's)."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import islice
from typing import IO, Any

import openpyxl
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from common.archives import Bounds, UnsafeArchive, check_archive
from common.errors import RuleBroken
from common.texts import composed
from proposals.services.imports.columns import COLUMNS, ImportColumn, column_of

MAX_BYTES = 10 * 1024 * 1024
MAX_ROWS = 5_000
MAX_COLUMNS = 60
MAX_CELL = 32_767  # what a cell of Excel can hold; longer than any field, so that the row is named as too long
MAX_TEXT = 30_000_000  # characters in all: a workbook repeats one shared string as often as it likes
BLANK_ROWS = 1_000
"""So many empty rows one after the other end a sheet: Excel keeps a million of them for a coloured column."""
XLSX_BOUNDS = Bounds(entries=1_000, total=80 * 1024 * 1024, ratio=200, dense_from=20 * 1024 * 1024)


@dataclass(frozen=True)
class Sheet:
    """`rows`: (number as the spreadsheet counts, value by column key) of the rows that are not empty."""

    rows: list[tuple[int, dict[str, str]]]
    ignored: tuple[str, ...]


def read_sheet(file: IO[bytes], size: int, more: Mapping[str, ImportColumn] | None = None) -> Sheet:
    """The rows of a file, with columns that only this call has (`more`, by plain name).

    RuleBroken (field `file`) for what is no spreadsheet, too large, or lacks a column.
    """
    if size > MAX_BYTES:
        raise _refused(
            _("This file is too large: %(size)s.") % {"size": filesizeformat(size)},
            "file_too_large",
            _("At most %(size)s can be imported; divide it.") % {"size": filesizeformat(MAX_BYTES)},
        )
    file.seek(0)
    head = file.read(8)
    file.seek(0)
    cells = _xlsx(file) if head.startswith(b"PK\x03\x04") else _csv(file.read(MAX_BYTES + 1))
    return _sheet(cells, more or {})


def _sheet(cells: Iterator[tuple[int, list[str]]], more: Mapping[str, ImportColumn]) -> Sheet:
    header = next((row for _number, row in cells if any(row)), None)
    if header is None:
        raise _refused(_("This file is empty."), "file_empty", _("Please choose another one."))
    columns = [column_of(name, more) for name in header]
    _check_header(columns, more)
    rows: list[tuple[int, dict[str, str]]] = []
    for number, row in cells:
        if not any(row):
            continue
        if len(rows) >= MAX_ROWS:
            raise _refused(
                _("This file has more than %(most)s rows.") % {"most": MAX_ROWS}, "too_many_rows", _("Divide it.")
            )
        rows.append((number, {c.key: value for c, value in zip(columns, row, strict=False) if c is not None}))
    if not rows:
        raise _refused(_("There is no row under the header."), "no_rows", _("Fill in the template and try again."))
    unknown = (name for name, column in zip(header, columns, strict=True) if column is None and name)
    return Sheet(rows, tuple(unknown))


def _check_header(columns: list[ImportColumn | None], more: Mapping[str, ImportColumn]) -> None:
    found = [column.key for column in columns if column is not None]
    wanted = (*COLUMNS, *dict.fromkeys(more.values()))
    missing = [column.label for column in wanted if column.needed and column.key not in found]
    if missing:
        raise _refused(
            _("These columns are missing: %(columns)s.") % {"columns": ", ".join(missing)},
            "columns_missing",
            _("The first row names the columns; the template has them all."),
        )
    twice = sorted({column.label for column in columns if column is not None and found.count(column.key) > 1})
    if twice:
        raise _refused(
            _("These columns are there twice: %(columns)s.") % {"columns": ", ".join(twice)},
            "columns_twice",
            _("Keep one of each."),
        )


def _xlsx(file: IO[bytes]) -> Iterator[tuple[int, list[str]]]:
    """The first sheet, row by row. Formulas are read as the value that was last computed, and never run."""
    try:
        check_archive(file, XLSX_BOUNDS)
    except UnsafeArchive as error:
        raise _refused(
            _("This file would grow too large when it is opened.")
            if error.reason in ("too_large", "too_dense", "too_many")
            else _("This file is damaged or locked: it cannot be opened."),
            f"archive_{error.reason}",
            _("Save it anew as an Excel workbook (.xlsx) or as CSV."),
        ) from None
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()
        yield from _bounded(sheet.iter_rows(values_only=True, max_col=MAX_COLUMNS))
    except RuleBroken:
        raise
    except Exception as error:  # a stranger's XML: openpyxl and defusedxml raise whatever they come upon
        raise _refused(
            _("This is not an Excel workbook that can be read."),
            "file_broken",
            _("Save it anew as an Excel workbook (.xlsx) or as CSV."),
        ) from error


def _csv(raw: bytes) -> Iterator[tuple[int, list[str]]]:
    text = _decoded(raw)
    if "\x00" in text:
        raise _not_text()
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        yield from _bounded(row[:MAX_COLUMNS] for row in reader)
    except csv.Error as error:
        raise _not_text() from error


def _decoded(raw: bytes) -> str:
    """UTF-8 (with or without a mark), UTF-16 with its mark, else CP949, which has all of EUC-KR."""
    wide = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "cp949"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise _not_text()


def _bounded(rows: Iterable[Iterable[Any]]) -> Iterator[tuple[int, list[str]]]:
    """Numbered from 1, as text; ends where nothing but empty rows comes."""
    blank = length = 0
    for number, row in enumerate(islice(rows, MAX_ROWS + 20 * BLANK_ROWS), start=1):
        cells = []
        for value in row:
            cells.append(_text(value))
            length += len(cells[-1])
            if length > MAX_TEXT:
                raise _refused(_("This file holds too much text."), "too_much_text", _("Divide it."))
        blank = 0 if any(cells) else blank + 1
        if blank > BLANK_ROWS:
            return
        yield number, cells


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d" if value.time() == time.min else "%Y-%m-%d %H:%M:%S")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return composed(str(value)[:MAX_CELL]).strip()


def _not_text() -> RuleBroken:
    return _refused(
        _("This is neither an Excel workbook (.xlsx) nor CSV in UTF-8 or CP949 (EUC-KR)."),
        "file_kind",
        _("Save it in one of these and try again."),
    )


def _refused(message: str, code: str, remedy: str) -> RuleBroken:
    return RuleBroken(message, code=code, remedy=remedy, field="file")
