"""The sandbox's SSH door: lets in who holds a certificate of the portal for a login that is granted now.

It watches the journal, because the revoking may be done in another process: sessions of a login that is no longer
granted are closed within `WATCH_SECONDS`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sqlite3
from contextlib import closing, suppress
from dataclasses import asdict
from typing import Any

import asyncssh

from agent.host.base import Door
from agent.host.sandbox import SandboxHost, refused_fact
from agent.host.ssh_session import run_session
from agent.journal import Journal, LocalLease

log = logging.getLogger(__name__)
LISTEN_HOST = "127.0.0.1"
WATCH_SECONDS = 0.2


class SshDoor:
    """One listening door. To be used from one event loop."""

    def __init__(self, journal: Journal, host: SandboxHost) -> None:
        self._journal = journal
        self._host = host
        self._listener: asyncssh.SSHAcceptor | None = None
        self._open: dict[asyncssh.SSHServerConnection, tuple[LocalLease, int]] = {}

    async def start(self) -> Door:
        """Listen, on the port of last time where it is free; the address is left in the journal."""
        key = self._host_key()
        options: dict[str, Any] = {
            "server_factory": lambda: _Server(self),
            "server_host_keys": [key],
            "process_factory": self._session,
            "encoding": None,
            "agent_forwarding": False,
            "x11_forwarding": False,
            "password_auth": False,
            "kbdint_auth": False,
            "gss_host": None,
            "allow_scp": False,
            "login_timeout": 20,
            "keepalive_interval": 30,
        }
        self._listener = await asyncssh.listen(LISTEN_HOST, self._port(), **options)
        port = self._listener.get_port()
        self._journal.remember("door_port", str(port))
        door = Door(LISTEN_HOST, port, key.export_public_key().decode().strip())
        self._journal.remember("door", json.dumps(asdict(door)))
        log.info("the SSH door is open on %s:%s", LISTEN_HOST, port)
        return door

    async def watch(self) -> None:
        """Close what the journal no longer grants; runs until cancelled."""
        with closing(self._journal.connect()) as connection:
            seen = None
            while True:
                # Changes whenever another connection commits (sqlite.org, PRAGMA data_version): cheap to ask.
                with suppress(sqlite3.OperationalError):
                    version = connection.execute("PRAGMA data_version").fetchone()[0]
                    if version != seen:
                        seen = version
                        self._close_ended()
                await asyncio.sleep(WATCH_SECONDS)

    async def stop(self) -> None:
        """Close the door and everything that came through it."""
        if self._listener is not None:
            self._listener.close()
        for connection in list(self._open):
            connection.abort()

    def admits(self, login: str) -> LocalLease | None:
        """The lease that a login is granted for now."""
        return self._journal.granted_login(login)

    def authority(self) -> str | None:
        """The portal's CA as one OpenSSH line, once it is known."""
        return self._journal.fact("ssh_ca")

    def refuses(self, serial: int) -> bool:
        """Whether a certificate with this serial opens nothing any more. One without a serial is never refused."""
        return bool(serial and self._journal.fact(refused_fact(serial)))

    def entered(self, connection: asyncssh.SSHServerConnection, lease: LocalLease, serial: int) -> None:
        """A connection has been let in with this certificate."""
        self._open[connection] = (lease, serial)

    def left(self, connection: asyncssh.SSHServerConnection) -> None:
        """A connection is gone."""
        self._open.pop(connection, None)

    def _close_ended(self) -> None:
        for connection, (lease, serial) in list(self._open.items()):
            now = self.admits(lease.login)
            if self.refuses(serial):
                log.info("closing a session of %s: its certificate %s is refused", lease.login, serial)
                connection.abort()
            elif now is None or now.lease != lease.lease:
                log.info("closing a session of %s: %s is not granted any more", lease.login, lease.lease)
                connection.abort()

    async def _session(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        login = process.get_extra_info("username")
        lease = self.admits(login)
        if lease is None:
            process.exit(1)
            return
        home = self._host.home(login)
        await run_session(
            process, lease, home, self._host.mark(), still_admitted=lambda: self.admits(login) is not None
        )

    def _host_key(self) -> asyncssh.SSHKey:
        path = self._journal.folder / "ssh_host_ed25519_key"
        if not path.exists():
            draft = path.with_suffix(".new")
            asyncssh.generate_private_key("ssh-ed25519").write_private_key(draft)
            draft.chmod(0o600)
            draft.replace(path)
        return asyncssh.read_private_key(path)

    def _port(self) -> int:
        port = int(self._journal.fact("door_port") or 0)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LISTEN_HOST, port))
            except OSError:
                log.warning("port %s is taken by somebody else; the door moves", port)
                return 0
        return port


class _Server(asyncssh.SSHServer):
    """One connection's side of the authentication. Forwarding stays refused, as the base class does."""

    def __init__(self, door: SshDoor) -> None:
        self._door = door
        self._lease: LocalLease | None = None
        self._serial = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        authority, self._lease = self._door.authority(), self._door.admits(username)
        if authority and self._lease:
            # The principal is asked for here, because a certificate that names none would fit every login otherwise.
            line = f'cert-authority,principals="{self._lease.login}" {authority}'
            self._connection.set_authorized_keys(asyncssh.import_authorized_keys(line))
            self._look_at_serials()
        return True

    def _look_at_serials(self) -> None:
        """Judge each certificate by its serial too. asyncssh has no public place for it; a test holds this one."""
        connection: Any = self._connection
        validate = connection._validate_openssh_certificate

        async def judged(username: str, certificate: Any) -> Any:
            key = None if self._door.refuses(certificate._serial) else await validate(username, certificate)
            self._serial = certificate._serial if key is not None else 0
            return key

        connection._validate_openssh_certificate = judged

    def auth_completed(self) -> None:
        if self._lease is not None:
            self._door.entered(self._connection, self._lease, self._serial)

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.left(self._connection)
