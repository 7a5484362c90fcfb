"""What a lease's user may have left outside of their home. Nothing of theirs runs while this looks."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from agent.privileged.places import Refused
from agent.privileged.users import tool

MESSAGE_QUEUES = Path("/dev/mqueue")
SPOOLS = (Path("/var/spool/cron/atjobs"), Path("/var/spool/cron/atspool"))
BY_LOGIN = ("/var/spool/cron/crontabs/{}", "/var/spool/cron/{}", "/var/lib/systemd/linger/{}", "/var/mail/{}")
SYSTEM_V = {"shm": ("--shmem-id", "shmid"), "msg": ("--queue-id", "msqid"), "sem": ("--semaphore-id", "semid")}


def remove_leftovers(login: str, uid: int, shared: tuple[Path, ...]) -> None:
    """Files by uid in the shared folders, IPC, jobs of cron and at, linger; Refused where something stays."""
    for pattern in BY_LOGIN:
        with suppress(FileNotFoundError, NotADirectoryError):
            Path(pattern.format(login)).unlink()
    runtime = Path(f"/run/user/{uid}")
    if runtime.is_dir() and not runtime.is_mount():
        shutil.rmtree(runtime, ignore_errors=True)
    for folder in (*shared, *SPOOLS, MESSAGE_QUEUES):
        if folder.is_dir():
            sweep(folder, uid)
    _remove_system_v(uid)


def sweep(folder: Path, uid: int) -> None:
    """Remove what a user owns anywhere under a folder; Refused where something stays.

    Goes by descriptors, so that a folder swapped for a link leads nowhere else, and stays on the file system.
    """
    device = folder.stat().st_dev
    stays: list[str] = []
    for above, folders, files, descriptor in os.fwalk(folder, topdown=True, follow_symlinks=False):
        for name in [*folders, *files]:
            with suppress(FileNotFoundError):
                found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                if found.st_dev == device and found.st_uid == uid:
                    if not _remove(name, descriptor, is_folder=stat.S_ISDIR(found.st_mode)):
                        stays.append(f"{above}/{name}")
                elif found.st_dev == device:
                    continue
                if name in folders:  # gone, or another file system: not to be walked into
                    folders.remove(name)
    if stays:
        raise Refused("files_remain", ", ".join(stays[:5]))


def _remove(name: str, descriptor: int, *, is_folder: bool) -> bool:
    try:
        if is_folder:
            shutil.rmtree(name, dir_fd=descriptor)  # what others put into a tenant's folder goes with it
        else:
            os.unlink(name, dir_fd=descriptor)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _remove_system_v(uid: int) -> None:
    for kind, (option, column) in SYSTEM_V.items():
        for number in _owned(kind, column, uid):
            tool("ipc_remains", "ipcrm", option, number, as_uid=uid)  # their owner may: no need of CAP_SYS_ADMIN


def _owned(kind: str, column: str, uid: int) -> list[str]:
    try:
        lines = Path(f"/proc/sysvipc/{kind}").read_text().splitlines()
    except OSError:
        return []
    names = lines[0].split()
    rows = [dict(zip(names, line.split(), strict=False)) for line in lines[1:]]
    return [row[column] for row in rows if str(uid) in (row["uid"], row["cuid"])]
