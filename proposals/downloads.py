"""A file as both skins send it."""

from django.http import FileResponse, Http404

from proposals.models import Attachment
from proposals.services.sniffing import MIME


def download(row: Attachment, name: str = "") -> FileResponse:
    """The bytes of a file under the name that the person gave it, or under `name`; 404 where they are gone."""
    try:
        handle = row.file.open("rb")
    except FileNotFoundError as missing:
        raise Http404 from missing
    kind = MIME[Attachment.Kind(row.kind)]
    response = FileResponse(handle, as_attachment=True, filename=name or row.name, content_type=kind)
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response
