"""Forget a demo's data."""

import shutil
from pathlib import Path

from portal.embedded import EmbeddedError
from portal.embedded.lock import FolderLock


def reset(folder: Path) -> bool:
    """Remove the demo in `folder`; False where there is none. EmbeddedError while it runs or if it is no demo's."""
    if not folder.exists() or not any(folder.iterdir()):
        return False
    if not (folder / "demo.lock").exists():
        raise EmbeddedError(f"{folder} does not look like a demo (it has no demo.lock): nothing was removed")
    with (
        FolderLock(folder / "demo.lock", what="a demo"),
        FolderLock(folder / "embedded.lock", what="a supervisor of embedded services"),
    ):
        shutil.rmtree(folder)
    return True
