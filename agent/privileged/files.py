"""Files and folders that root writes: whole or not at all, and never through a link that somebody laid."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from agent.privileged.places import Refused


def safe_folder(path: Path, mode: int) -> Path:
    """The folder, made where missing, with exactly this mode; Refused where it, or one above it, is not root's alone.

    A folder above may be world-writable only with the sticky bit, as /tmp is.
    """
    for above in (*reversed(path.parents), path):
        try:
            found = above.lstat()
        except FileNotFoundError:
            above.mkdir()
            above.chmod(0o755)
            found = above.lstat()
        loose = found.st_mode & 0o022 and (above == path or not found.st_mode & stat.S_ISVTX)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or loose:
            raise Refused("unsafe_folder", str(above))
    path.chmod(mode)
    return path


def write_whole(path: Path, text: str, mode: int) -> None:
    """Replace a file by another, durably: a crash leaves the old one or the new one. The folder is root's alone."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, mode)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    put_in_place(draft, path)


def put_in_place(draft: Path, path: Path) -> None:
    """Rename a finished file over the old one, and make the renaming durable."""
    os.replace(draft, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make what was renamed or removed in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
