"""The port to a host, held over both adapters alike: one suite, the sandbox and a real node."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from agent.host.base import DoorKeeper, Host, HostError, Share
from agent.host.linux import LinuxHost, SshdKeeper
from agent.host.processes import LEASE_MARKER
from agent.host.sandbox import SandboxHost
from agent.host.ssh_door import SshDoor
from agent.journal import Journal, LocalLease
from tests.agent.envelopes import NODE
from tests.agent.linux_door import sshd
from tests.agent.linux_node import NODE_DEVICES, LinuxNode, linux_node
from tests.agent.running import is_alive, wait_until_gone
from tests.simulator.nodes import wait_until

pytestmark = pytest.mark.xdist_group("linux-node")
LEASE = f"L-contract-{NODE}"  # two test processes must not end each other's tenants
SHARE = Share(device_minors=(0,), node_devices=tuple((minor, numa) for minor, numa in NODE_DEVICES))
# sshd may hang up before its refusal has been read.
SHUT = (asyncssh.PermissionDenied, asyncssh.ConnectionLost, ConnectionResetError)
STUBBORN = "trap '' TERM HUP; echo up; while :; do sleep 600; done"


class Site:
    """A host over its journal, with a portal's CA and one lease."""

    def __init__(self, folder: Path, login: str) -> None:
        self.journal = Journal(folder / "state")
        self.authority, self.key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        self.journal.pin("node", NODE)
        self.journal.pin("ssh_ca", self.authority.export_public_key().decode().strip())
        self.journal.begin("CMD-1", LEASE, 1, "grant")
        self.journal.change_lease(LEASE, phase="opening", login=login, hard_end=time.time() + 600)
        self.children: list[subprocess.Popen[bytes]] = []
        self.host: Host
        self.keeper: DoorKeeper

    @property
    def lease(self) -> LocalLease:
        """The lease as the journal has it."""
        found = self.journal.lease(LEASE)
        assert found is not None
        return found

    def grant(self) -> None:
        """Open it, as the verb does."""
        self.host.open_access(self.lease, SHARE)
        self.journal.change_lease(LEASE, phase="granted", granted_at=time.time())

    def revoke(self) -> Any:
        """End it, as the verb does."""
        self.journal.change_lease(LEASE, phase="closing")
        return self.host.end_access(self.lease, ())

    def home(self) -> Path:
        """Where the lease's people work."""
        raise NotImplementedError

    def spawn(self, script: str) -> subprocess.Popen[bytes]:
        """A shell of theirs that has said `up`."""
        raise NotImplementedError

    def enter(self, serial: int, act: Any = None) -> Any:
        """Come in with a certificate; what was said there."""
        return asyncio.run(asyncio.wait_for(self._enter(serial, act), 60))

    async def _enter(self, serial: int, act: Any) -> Any:
        watch = None
        if isinstance(self.keeper, SshDoor):
            await self.keeper.start()
            watch = asyncio.create_task(self.keeper.watch())
        try:
            door, end = self.host.door(), int(time.time() + 300)
            signed = self.authority.generate_user_certificate(
                self.key, "test", serial=serial, principals=[self.lease.login], valid_after=end - 900, valid_before=end
            )
            options: Any = {"username": self.lease.login, "client_keys": [(self.key, signed)], "config": None}
            options["known_hosts"] = ([asyncssh.import_public_key(door.host_key)], [], [])
            async with asyncssh.connect(door.host, door.port, agent_path=None, **options) as client:
                return await act(client) if act else (await client.run("pwd")).stdout.strip()
        finally:
            if watch is not None:
                watch.cancel()
                await self.keeper.stop()


class SandboxSite(Site):
    """Real processes of the current user."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "bg-contract")
        self._folder = folder
        self.sandbox = self.host = SandboxHost(folder, self.journal)
        self.keeper = SshDoor(self.journal, self.sandbox)

    def home(self) -> Path:
        """See Site."""
        return self._folder / "homes" / self.lease.login

    def spawn(self, script: str) -> subprocess.Popen[bytes]:
        """See Site."""
        marked = {**os.environ, LEASE_MARKER: LEASE}
        words = ["bash", "-c", script]
        return _started(self, subprocess.Popen(words, env=marked, stdout=subprocess.PIPE, start_new_session=True))


class LinuxSite(Site):
    """Real users behind a real sshd."""

    def __init__(self, folder: Path, node: LinuxNode, door: Any) -> None:
        super().__init__(folder, node.login("contract"))
        self.node = node
        self.host = LinuxHost(self.journal, node.root, f"127.0.0.1:{door.port}", door.host_key)
        self.keeper = SshdKeeper(self.journal, self.host, node.root)

    def home(self) -> Path:
        """See Site."""
        return self.node.folder / "homes" / self.lease.login

    def spawn(self, script: str) -> subprocess.Popen[bytes]:
        """See Site."""
        return _started(self, self.node.run("contract", "bash", "-c", script, stdout=subprocess.PIPE))


def _started(site: Site, child: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    site.children.append(child)
    assert child.stdout is not None and child.stdout.readline() == b"up\n"
    return child


@contextmanager
def linux_site(folder: Path) -> Iterator[Site]:
    """A node of its own for one test."""
    with linux_node() as node, sshd(node) as door:
        yield LinuxSite(folder, node, door)


@pytest.fixture(params=["sandbox", "linux"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    if request.param == "linux":
        with linux_site(tmp_path) as made:
            yield made
        return
    made = SandboxSite(tmp_path)
    yield made
    for child in made.children:
        child.kill()
        child.wait()


def test_opening_makes_a_private_home_and_may_be_repeated(site: Site) -> None:
    site.grant()
    (site.home() / "work").write_text("kept")
    site.grant()
    assert site.home().stat().st_mode & 0o777 == 0o700
    assert (site.home() / "work").read_text() == "kept"


def test_a_granted_login_comes_in_to_its_home(site: Site) -> None:
    site.grant()
    assert site.enter(serial=1) == str(site.home())


def test_ending_closes_the_door_and_ends_everything(site: Site) -> None:
    site.grant()
    meek, stubborn = site.spawn("echo up; sleep 600"), site.spawn(STUBBORN)
    ended = site.revoke()
    assert ended.remaining == () and ended.killed >= 2
    for child in (meek, stubborn):
        assert child.wait(10) < 0
    with pytest.raises(SHUT):
        site.enter(serial=1)
    again = site.revoke()
    assert (again.killed, again.remaining) == (0, ())


def test_ending_and_cleaning_what_never_was_is_nothing(site: Site) -> None:
    assert site.revoke() == site.host.end_access(site.lease, ())
    site.host.clean_up(site.lease)


def test_cleaning_leaves_no_home_and_may_be_repeated(site: Site) -> None:
    site.grant()
    (site.home() / "work").mkdir()
    site.revoke()
    for _ in range(2):
        site.host.clean_up(site.lease)
        assert not site.home().exists()


def test_a_lease_can_be_granted_again_after_it_was_cleaned(site: Site) -> None:
    for _ in range(2):
        site.grant()
        assert not (site.home() / "work").exists()
        (site.home() / "work").mkdir()
        site.revoke()
        site.host.clean_up(site.lease)


def test_a_refused_certificate_opens_nothing_any_more(site: Site) -> None:
    site.grant()
    assert site.enter(serial=7) and site.enter(serial=8)
    site.host.refuse_certificates([7])
    site.host.refuse_certificates([7, 9])
    with pytest.raises(SHUT):
        site.enter(serial=7)
    assert site.enter(serial=8)
    with pytest.raises(HostError):
        site.host.refuse_certificates([0])


def test_the_sandbox_closes_the_sessions_of_a_refused_certificate(tmp_path: Path) -> None:
    site = SandboxSite(tmp_path)
    site.grant()

    async def wait_for_the_end(client: asyncssh.SSHClientConnection) -> None:
        running = await client.create_process("echo up; sleep 600")
        assert (await running.stdout.readline()).strip() == "up"
        await asyncio.to_thread(site.host.refuse_certificates, [5])
        await client.wait_closed()

    site.enter(5, wait_for_the_end)
    site.host.agent_stops()


def test_a_stopping_agent_ends_its_sandbox_and_leaves_real_users_be(site: Site) -> None:
    site.grant()
    child = site.spawn("echo up; sleep 600")
    site.host.agent_stops()
    if isinstance(site, LinuxSite):
        assert is_alive(child.pid), "an agent is updated while tenants work"
    else:
        wait_until(lambda: child.poll() is not None)
        wait_until_gone(child.pid)


def test_a_door_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "state")
    with pytest.raises(HostError, match="door_closed"):
        SandboxHost(tmp_path, journal).door()
    with pytest.raises(HostError, match="door_closed"):
        LinuxHost(journal, None, "", tmp_path / "no_key.pub").door()  # type: ignore[arg-type]


def test_a_real_node_opens_nothing_without_a_share_or_an_authority(tmp_path: Path) -> None:
    with linux_node() as node:
        journal = Journal(tmp_path / "state")
        host = LinuxHost(journal, node.root, "", tmp_path / "key.pub")
        journal.begin("CMD-1", LEASE, 1, "grant")
        lease = journal.lease(LEASE)
        assert lease is not None
        with pytest.raises(HostError, match="no_authority"):
            host.open_access(lease, SHARE)
        journal.pin("ssh_ca", asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode())
        with pytest.raises(HostError, match="no_share"):
            host.open_access(lease)
        assert not (node.folder / "state/ledger.json").exists()
