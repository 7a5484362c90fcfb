"""Columns of a list: one description serves the page, the sort order and the CSV file."""

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any

from django.db.models import QuerySet

from common.errors import Text


@dataclass(frozen=True)
class Column:
    """One column.

    `value(obj)` gives what the CSV holds (a number stays a number); `cell(obj)` what the page shows (default: the
    value); `link(obj)` an address or None; `sort` the ORM field to order by (None: not sortable); `badge` names the
    noun whose state the value is, and renders it as a badge; `numeric` aligns right; `csv_only` columns are not on the
    page, which says the same in another.
    """

    key: str
    label: Text
    value: Callable[[Any], Any]
    cell: Callable[[Any], Any] | None = None
    link: Callable[[Any], str | None] | None = None
    sort: str | None = None
    badge: str = ""
    numeric: bool = False
    csv_only: bool = False

    def shown(self, obj: Any) -> Any:
        """What the page shows."""
        return (self.cell or self.value)(obj)

    def href(self, obj: Any) -> str | None:
        """Where the cell leads, if anywhere."""
        return self.link(obj) if self.link else None


def order(queryset: QuerySet[Any], columns: Iterable[Column], wanted: str, default: str) -> QuerySet[Any]:
    """The queryset ordered by a column key (`-key` for descending); an unknown key gives the default order."""
    known = {column.key: column.sort for column in columns if column.sort}
    key = wanted.removeprefix("-")
    if key not in known:
        return queryset.order_by(default, "pk")
    sign = "-" if wanted.startswith("-") else ""
    return queryset.order_by(f"{sign}{known[key]}", "pk")


class _Line:
    """A file-like object whose write() hands the line back."""

    def write(self, value: str) -> str:
        return value


def csv_lines(rows: QuerySet[Any] | Iterable[Any], columns: Iterable[Column]) -> Iterator[str]:
    """The rows as CSV text with a byte-order mark, so that a spreadsheet reads the Korean."""
    columns = tuple(columns)
    found = rows.iterator(chunk_size=500) if isinstance(rows, QuerySet) else rows
    values = ([column.value(obj) for column in columns] for obj in found)
    return csv_rows([column.label for column in columns], values)


def csv_rows(header: Iterable[Text], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Any rows under a header, in the same way."""
    import csv

    writer = csv.writer(_Line())
    yield "\ufeff" + writer.writerow([safe_cell(str(label)) for label in header])
    for row in rows:
        yield writer.writerow(_safe_row(row))


FORMULA = frozenset("=+-@\t\r\n＝＋－＠")
"""How a formula begins; an East Asian Excel takes the wide signs for the narrow ones."""
_AS_THEY_ARE = frozenset((int, float, Decimal, type(None)))
"""Asked for first: of a file of 25,000 lines most cells are such."""


def safe_cell(value: Any) -> Any:
    """Neutralise text that a spreadsheet would run as a formula (OWASP: CSV injection). Numbers stay numbers; what is
    neither is written as its text, and somebody may have chosen that as well (a person, a lazy translation).
    """
    if value is None or isinstance(value, int | float | Decimal):
        return value
    text = value if type(value) is str else str(value)
    return "'" + text if text[:1] in FORMULA else text


def csv_blocks(header: Iterable[Text], rows: Iterable[Iterable[Any]], count: int = 500) -> Iterator[str]:
    """What `csv_rows` gives, so many lines at a time: for files of tens of thousands, where each piece that is made and
    sent costs more than a line.
    """
    import csv

    yield from csv_rows(header, ())
    source = iter(rows)
    while block := list(islice(source, count)):
        text = io.StringIO(newline="")
        csv.writer(text).writerows(map(_safe_row, block))
        yield text.getvalue()


def _safe_row(row: Iterable[Any]) -> list[Any]:
    """`safe_cell` of each, which is asked only where it can matter."""
    return [
        value
        if (kind := type(value)) in _AS_THEY_ARE or (kind is str and value[:1] not in FORMULA)
        else safe_cell(value)
        for value in row
    ]
