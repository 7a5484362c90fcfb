"""A stored file, or lines made now, as every skin sends them."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.http import FileResponse, Http404, HttpResponse, JsonResponse, StreamingHttpResponse
from django.utils import timezone, translation

from common.sharing import NOT_KEPT

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def download(file: Any, name: str, content_type: str) -> FileResponse:
    """The bytes of a stored file, to be saved under `name` and never guessed at; 404 where they are gone."""
    try:
        handle = file.open("rb")
    except FileNotFoundError as missing:
        raise Http404 from missing
    response = FileResponse(handle, as_attachment=True, filename=name, content_type=content_type)
    response["X-Content-Type-Options"] = "nosniff"
    return response


def csv_file(lines: Iterable[str], name: str) -> Any:
    """Lines of `common.tables`, sent as they are made, to be saved as `name`.csv; no browser or proxy keeps them."""
    response = StreamingHttpResponse(_as_now(lines), content_type="text/csv", headers=NOT_KEPT)
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def _as_now(lines: Iterable[str]) -> Iterator[str]:
    """The lines, each made in the zone and the language of this moment: they are made after the view is over, when the
    reader's no longer hold.
    """
    zone, language, left = timezone.get_current_timezone(), translation.get_language(), iter(lines)

    def one() -> str | None:
        with timezone.override(zone), translation.override(language):
            return next(left, None)

    return iter(one, None)


def json_file(document: dict[str, Any], name: str) -> JsonResponse:
    """A document for people and programs, to be saved as `name`.json; no browser or proxy keeps it."""
    said = {"ensure_ascii": False, "indent": 1}
    response = JsonResponse(document, json_dumps_params=said, headers=NOT_KEPT)
    response["Content-Disposition"] = f'attachment; filename="{name}.json"'
    return response


def xlsx_file(workbook: bytes, name: str) -> Any:
    """A workbook of `common.workbooks`, to be saved as `name`.xlsx; no browser or proxy keeps it."""
    response = HttpResponse(workbook, content_type=XLSX, headers=NOT_KEPT)
    response["Content-Disposition"] = f'attachment; filename="{name}.xlsx"'
    return response
