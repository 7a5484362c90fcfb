"""A lease's Linux user: made, locked, opened again, removed. Their home is a folder of their own under root's."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
from pathlib import Path

from agent.privileged.files import safe_folder, sync_folder
from agent.privileged.ledger import Tenant
from agent.privileged.places import Places, Refused

SKELETON = Path("/etc/skel")
TOOL_SECONDS = 60
NO_PASSWORD = "*"  # matches nothing, yet is no lock: sshd without PAM lets nobody in whose entry begins with "!"
LONG_AGO = "1"  # days since 1970: the account has expired


def tool(code: str, *words: str, as_uid: int = 0) -> str:
    """Run one of the system's own tools, without a shell and in a clean environment. Refused(code) where it fails."""
    surroundings = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    try:
        ran = subprocess.run(
            words,
            check=False,
            env=surroundings,
            capture_output=True,
            text=True,
            timeout=TOOL_SECONDS,
            stdin=subprocess.DEVNULL,
            user=as_uid,
            group=as_uid,
            extra_groups=[],
            cwd="/",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(code, f"{words[0]}: {error}") from error
    if ran.returncode != 0:
        raise Refused(code, f"{words[0]} ended with {ran.returncode}: {ran.stderr.strip()[:300]}")
    return ran.stdout


def exists(tenant: Tenant) -> bool:
    """Whether the user is there; Refused where the name or the number is somebody else's."""
    try:
        entry = pwd.getpwnam(tenant.login)
    except KeyError:
        entry = None
    if entry is not None and entry.pw_uid != tenant.uid:
        raise Refused("login_taken", f"{tenant.login} has uid {entry.pw_uid}, not {tenant.uid}")
    return entry is not None


def create(tenant: Tenant, places: Places) -> None:
    """The user, their group of the same number and their home; what is there already stays."""
    number = str(tenant.uid)
    if not exists(tenant):
        if not _has_group(tenant):
            tool("no_user", "groupadd", "--gid", number, tenant.login)
        tool(
            "no_user",
            *("useradd", "--no-create-home", "--no-log-init", "--uid", number, "--gid", number, "--shell", _shell()),
            *("--home-dir", str(places.homes / tenant.login), "--password", NO_PASSWORD),
            *("--comment", f"lease {tenant.lease}"),
            # Subordinate uids would be numbers of this lease that no look at its uid finds.
            *("-K", "SUB_UID_COUNT=0", "-K", "SUB_GID_COUNT=0", tenant.login),
        )
    _make_home(tenant, places)


def unlock(tenant: Tenant) -> None:
    """The account may be used: no date, no lock; still no password."""
    tool("no_user", "usermod", "--password", NO_PASSWORD, "--expiredate", "", tenant.login)


def lock(tenant: Tenant) -> None:
    """The account has expired and is locked: with and without PAM, sshd, cron and su let nobody in."""
    if exists(tenant):
        tool("not_locked", "usermod", "--lock", "--expiredate", LONG_AGO, tenant.login)


def remove(tenant: Tenant, places: Places) -> None:
    """The user, the group and the home are gone. Nothing of theirs runs any more, or userdel refuses."""
    if exists(tenant):
        tool("user_remains", "userdel", tenant.login)
    if _has_group(tenant):
        tool("user_remains", "groupdel", tenant.login)
    home, going = places.homes / tenant.login, places.homes / f".going-{tenant.uid}"
    try:
        # Out of the way first, so that a crash in the middle leaves no half home behind for a login.
        for folder in (going, places.homes / f".coming-{tenant.uid}", home):
            if os.path.lexists(folder):
                shutil.rmtree(folder.rename(going) if folder == home else folder)
        sync_folder(places.homes)
    except OSError as error:
        raise Refused("home_remains", str(error)) from error


def _make_home(tenant: Tenant, places: Places) -> None:
    """A home with the system's skeleton, 0700. It gets its name when it is whole."""
    folder = safe_folder(places.homes, 0o711)
    home, coming = folder / tenant.login, folder / f".coming-{tenant.uid}"
    if os.path.lexists(home):
        found = home.lstat()
        if not home.is_dir() or home.is_symlink() or found.st_uid != tenant.uid:
            raise Refused("no_home", f"{home} is not theirs")
        home.chmod(0o700)
        return
    try:
        shutil.rmtree(coming, ignore_errors=True)
        coming.mkdir(mode=0o700)
        if SKELETON.is_dir():
            shutil.copytree(SKELETON, coming, symlinks=True, dirs_exist_ok=True)
        for above, folders, files in os.walk(coming):
            for name in (*folders, *files):
                os.chown(Path(above) / name, tenant.uid, tenant.uid, follow_symlinks=False)
        os.chown(coming, tenant.uid, tenant.uid)
        coming.chmod(0o700)
        coming.rename(home)
        sync_folder(folder)
    except OSError as error:
        raise Refused("no_home", str(error)) from error


def _has_group(tenant: Tenant) -> bool:
    try:
        group = grp.getgrnam(tenant.login)
    except KeyError:
        return False
    if group.gr_gid != tenant.uid:
        raise Refused("login_taken", f"the group {tenant.login} has gid {group.gr_gid}")
    return True


def _shell() -> str:
    return next((path for path in ("/bin/bash", "/usr/bin/bash") if Path(path).exists()), "/bin/sh")
