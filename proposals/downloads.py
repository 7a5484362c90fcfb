"""An attachment as both skins send it."""

from django.http import FileResponse

from common import downloads
from proposals.models import Attachment
from proposals.services.sniffing import MIME


def download(row: Attachment, name: str = "") -> FileResponse:
    """The bytes of a file under the name that the person gave it, or under `name`; 404 where they are gone."""
    response = downloads.download(row.file, name or row.name, MIME[Attachment.Kind(row.kind)])
    response["Cache-Control"] = "private, no-store"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response
