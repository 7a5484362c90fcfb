"""Who asked root for what, and what came of it: a line of JSON in a file and the same in the system's log."""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import time
from pathlib import Path
from typing import Any

from agent.privileged.files import safe_folder

SYSTEM_LOG = Path("/dev/log")


class AuditLog:
    """Appended to, never written over. A line that cannot be kept stops what it would have told of."""

    def __init__(self, path: Path) -> None:
        safe_folder(path.parent, 0o750)
        self._path = path

    def write(self, stage: str, **said: Any) -> None:
        """One line: `asked` before anything is done; after it `done`, `refused` or `failed`.

        OSError where it cannot be kept.
        """
        line = json.dumps({"at": round(time.time(), 3), "stage": stage, **said}, sort_keys=True, default=str)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            os.write(descriptor, line.encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _tell_system(line)


def _tell_system(line: str) -> None:
    if not SYSTEM_LOG.exists():
        return
    try:
        handler = logging.handlers.SysLogHandler(str(SYSTEM_LOG), logging.handlers.SysLogHandler.LOG_AUTHPRIV)
    except OSError:
        return
    handler.ident = "bitgoeul-root: "
    handler.emit(logging.LogRecord("root", logging.WARNING, "", 0, line, None, None))
    handler.close()
