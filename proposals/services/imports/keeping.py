"""A file that was looked at waits, so that nobody has to choose it a second time to bring it in."""

import uuid
from datetime import timedelta
from typing import IO, Any

from django.core import signing
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.utils import timezone
from django.utils.translation import gettext as _

from common.errors import RuleBroken

FOLDER = "imports"
SALT = "proposals.import"
KEPT = timedelta(hours=2)


def keep(*, actor: Any, upload: UploadedFile, call: str) -> str:
    """Keep the file for KEPT, outside every web root; the token that `kept` takes. Older ones are tidied away."""
    _tidy()
    upload.seek(0)
    path = default_storage.save(f"{FOLDER}/{uuid.uuid4().hex}.bin", upload)
    return signing.dumps({"path": path, "call": call, "by": actor.public_id}, salt=SALT, compress=True)


def kept(*, actor: Any, token: str) -> tuple[IO[bytes], int, str]:
    """(file, its size, the call's public id) of a token of one's own. RuleBroken where it is old or somebody else's."""
    try:
        found = signing.loads(token, salt=SALT, max_age=KEPT)
        if found["by"] != actor.public_id:
            raise signing.BadSignature
        return default_storage.open(found["path"], "rb"), default_storage.size(found["path"]), found["call"]
    except (signing.BadSignature, FileNotFoundError):
        raise RuleBroken(
            _("This file is no longer kept."), code="file_gone", remedy=_("Choose it and check it once more.")
        ) from None


def _tidy() -> None:
    """Nothing of a person's spreadsheet stays longer than it is needed."""
    try:
        names = default_storage.listdir(FOLDER)[1]
    except FileNotFoundError:
        return
    for name in names:
        path = f"{FOLDER}/{name}"
        if default_storage.get_modified_time(path) < timezone.now() - KEPT:
            default_storage.delete(path)
