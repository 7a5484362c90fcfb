"""A stored file as every skin sends it."""

from typing import Any

from django.http import FileResponse, Http404


def download(file: Any, name: str, content_type: str) -> FileResponse:
    """The bytes of a stored file, to be saved under `name` and never guessed at; 404 where they are gone."""
    try:
        handle = file.open("rb")
    except FileNotFoundError as missing:
        raise Http404 from missing
    response = FileResponse(handle, as_attachment=True, filename=name, content_type=content_type)
    response["X-Content-Type-Options"] = "nosniff"
    return response
