"""`python -m agent.privileged`: answers one request on standard input, a Unix socket that systemd has accepted.

With `--listen PATH` it accepts by itself, one process a request, for machines without systemd. With `--overdue` it
closes what should have been closed: a timer calls it, so that a lease ends even where the agent does not run.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import socket
import struct
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.privileged import devices
from agent.privileged.audit_log import AuditLog
from agent.privileged.capabilities import MKNOD, SYS_ADMIN, give_up
from agent.privileged.files import safe_folder
from agent.privileged.groups import SYSTEMD_RUNS, choose
from agent.privileged.places import Places, Refused
from agent.privileged.requests import MAX_BYTES, read
from agent.privileged.verbs import RootVerbs

READ_SECONDS = 5.0


def parse(words: list[str]) -> argparse.Namespace:
    """The command line of the root-owned unit. Nothing of it can be said over the socket."""
    usual = Places()
    parser = argparse.ArgumentParser(prog="python -m agent.privileged", description="The root part of a GPU node.")
    parser.add_argument("--agent-user", default="bitgoeul-agent", help="who may ask, besides root")
    parser.add_argument("--listen", type=Path, metavar="PATH", help="accept on this socket, without systemd")
    parser.add_argument("--overdue", action="store_true", help="close logins past their hard end, and go")
    parser.add_argument("--group-parent", default="bitgoeul", help="of control groups, where there is no systemd")
    for name in ("state", "homes", "ssh", "log", "units", "devices", "system", "capabilities"):
        parser.add_argument(f"--{name}", type=Path, default=getattr(usual, name), metavar="PATH")
    parser.add_argument("--shared", type=Path, action="append", metavar="DIR", help="swept at a lease's end")
    parser.add_argument("--nvml-library", metavar="PATH", help="the libnvidia-ml.so.1 to load for settings of devices")
    parser.add_argument("--first-uid", type=int, default=usual.first_uid)
    parser.add_argument("--uid-count", type=int, default=usual.uid_count)
    return parser.parse_args(words)


def places(given: argparse.Namespace) -> Places:
    """The folders and ranges that were given."""
    names = ("state", "homes", "ssh", "log", "units", "devices", "system", "capabilities", "first_uid", "uid_count")
    shared = tuple(given.shared) if given.shared else Places().shared
    return Places(**{name: getattr(given, name) for name in names}, shared=shared)


def peer(connection: socket.socket) -> tuple[int, int]:
    """(PID, uid) of who asks, as the kernel says it."""
    size = struct.calcsize("3i")
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return pid, uid


def answer(connection: socket.socket, given: argparse.Namespace) -> None:
    """One request, one answer."""
    connection.settimeout(READ_SECONDS)
    where = places(given)
    said: dict[str, Any]
    try:
        log = AuditLog(where.log)
        pid, uid = peer(connection)
        said = _perform(_receive(connection), log, {"peer_pid": pid, "peer_uid": uid}, given, where)
    except Refused as error:
        said = {"error": error.code}
    except Exception:
        traceback.print_exc()
        said = {"error": "root_part_failed"}
    with suppress(OSError):
        connection.sendall(json.dumps(said).encode() + b"\n")
        connection.shutdown(socket.SHUT_WR)


def _perform(
    raw: bytes, log: AuditLog, who: dict[str, int], given: argparse.Namespace, where: Places
) -> dict[str, Any]:
    call = f"{os.getpid()}-{who['peer_pid']}"
    try:
        if who["peer_uid"] not in (0, _uid(given.agent_user)):
            raise Refused("not_you")
        verb, arguments = read(raw)
        try:
            log.write("asked", call=call, **who, verb=verb, arguments=arguments)
        except OSError:
            if verb != "close":  # a tenant who filled the disk must not stay in by it
                raise
        if verb not in devices.VERBS and SYSTEMD_RUNS.is_dir():  # without systemd, denying devices takes CAP_SYS_ADMIN
            give_up(SYS_ADMIN, MKNOD)
        done = RootVerbs(where, choose(where, given.group_parent)).perform(verb, arguments)
        log.write("done", call=call, **who, verb=verb, answer=done)
        return {"done": done}
    except Refused as error:
        log.write("refused", call=call, **who, code=error.code, why=error.why, asked=raw[:400].decode(errors="replace"))
        return {"error": error.code}
    except Exception as error:
        log.write("failed", call=call, **who, why=repr(error))
        raise


def _receive(connection: socket.socket) -> bytes:
    """Until a line or the other side's end; what is too long is cut one byte past the limit and refused for it."""
    raw = b""
    while len(raw) <= MAX_BYTES and not raw.endswith(b"\n"):
        more = connection.recv(MAX_BYTES)
        if not more:
            break
        raw += more
    return raw[: MAX_BYTES + 1]


def _uid(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return 0


def listen(path: Path, given: argparse.Namespace) -> None:
    """Accept for ever; every request is a process of its own, as systemd would do it."""
    safe_folder(path.parent, 0o755)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        uid = _uid(given.agent_user)
        os.chown(path, 0, pwd.getpwuid(uid).pw_gid)
        path.chmod(0o660)
        door.listen(16)
        while True:
            connection, _ = door.accept()
            with connection:
                if os.fork() == 0:
                    if os.fork() == 0:  # init's child, not ours to wait for
                        answer(connection, given)
                    os._exit(0)
                os.wait()


def close_overdue(given: argparse.Namespace) -> int:
    """Close every login that is overdue; 1 where something of one remains."""
    where = places(given)
    log, verbs = AuditLog(where.log), RootVerbs(where, choose(where, given.group_parent))
    stays = 0
    for login in verbs.overdue(time.time()):
        with suppress(OSError):  # a full disk keeps nobody in
            log.write("asked", call=str(os.getpid()), by="timer", verb="close", arguments={"login": login})
        try:
            done = verbs.perform("close", {"login": login})
        except Refused as error:
            done = {"error": error.code, "why": error.why}
        log.write("done", call=str(os.getpid()), by="timer", verb="close", answer=done)
        stays += bool(done.get("remaining", True))
    return int(stays > 0)


def main() -> int:
    """See the module."""
    given = parse(sys.argv[1:])
    os.umask(0o077)
    if os.geteuid() != 0:
        print("bitgoeul-root: runs as root", file=sys.stderr)
        return 1
    if given.nvml_library:
        os.environ["NVML_LIBRARY"] = given.nvml_library
    if given.overdue:
        return close_overdue(given)
    if given.listen:
        listen(given.listen, given)
    with socket.socket(fileno=os.dup(0)) as connection:
        answer(connection, given)
    return 0


if __name__ == "__main__":
    sys.exit(main())
