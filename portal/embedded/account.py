"""Under which account the servers run. PostgreSQL refuses root, so root lends them to a user that exists already."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from portal.embedded.errors import EmbeddedError

CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """A user of this machine to run a child as."""

    name: str
    uid: int
    gid: int

    def may_enter(self, folder: Path) -> bool:
        """Can this user pass through `folder`?"""
        info = folder.stat()
        if info.st_uid == self.uid:
            return bool(info.st_mode & stat.S_IXUSR)
        if info.st_gid == self.gid:
            return bool(info.st_mode & stat.S_IXGRP)
        return bool(info.st_mode & stat.S_IXOTH)


def account_to_drop_to(data: Path) -> Account | None:
    """None when we are not root; else the owner of existing data, else the first candidate of this machine."""
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        owner = pwd.getpwuid(data.stat().st_uid)
        return Account(owner.pw_name, owner.pw_uid, owner.pw_gid)
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedError(f"PostgreSQL does not run as root and this machine has no user {' or '.join(CANDIDATES)}")


def first_closed_folder(path: Path, account: Account | None) -> Path | None:
    """The topmost folder on the way to `path` that `account` cannot enter; None when the way is open."""
    if account is None:
        return None
    existing = [folder for folder in reversed(path.resolve().parents) if folder.exists()]
    return next((folder for folder in existing if not account.may_enter(folder)), None)


def require_open_way(path: Path, account: Account | None) -> None:
    """EmbeddedError with the remedy when `account` cannot reach `path`."""
    closed = first_closed_folder(path, account)
    if closed is not None and account is not None:
        raise EmbeddedError(
            f"started as root, the database runs as the user {account.name}, who cannot enter {closed}: choose a"
            f" folder elsewhere (DEMO_DIR=/var/tmp/bitgoeul), run as another user, or `chmod o+x {closed}`"
        )


def own_folder(path: Path, account: Account | None) -> None:
    """Make `path` a private folder of `account` (of ourselves when None)."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    if account is not None:
        os.chown(path, account.uid, account.gid)
