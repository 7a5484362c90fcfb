"""Temporary folders that another user may pass through: as root, the database servers run as somebody else."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def open_folder(prefix: str) -> Iterator[Path]:
    """A new folder below the system's temporary one, mode 0711, removed at the end."""
    path = Path(tempfile.mkdtemp(prefix=prefix))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
