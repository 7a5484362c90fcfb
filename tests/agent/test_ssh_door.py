"""The sandbox's SSH door, with a real SSH client: who gets in, what a session sees, and how it ends."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from agent.host.base import Door
from agent.host.sandbox import SandboxHost
from agent.host.ssh_door import SshDoor
from agent.journal import Journal
from tests.agent.envelopes import NODE

LOGIN = "bg-one"


class Tenant:
    """A person with a key, and a CA that signs it."""

    def __init__(self) -> None:
        self.authority = asyncssh.generate_private_key("ssh-ed25519")
        self.key = asyncssh.generate_private_key("ssh-ed25519")

    def certificate(
        self, principals: list[str], *, authority: asyncssh.SSHKey | None = None, valid_for_seconds: float = 600
    ) -> Any:
        """(key, certificate) as asyncssh.connect takes it."""
        end = int(time.time() + valid_for_seconds)
        signed = (authority or self.authority).generate_user_certificate(
            self.key, "test", principals=principals, valid_after=end - 3600, valid_before=end
        )
        return [(self.key, signed)]


@asynccontextmanager
async def open_door(folder: Path, tenant: Tenant) -> AsyncIterator[tuple[Door, Journal]]:
    """A door with one granted login."""
    journal = Journal(folder / "state")
    journal.pin("node", NODE)
    journal.pin("ssh_ca", tenant.authority.export_public_key().decode().strip())
    journal.begin("CMD-1", "L-1", 1, "grant")
    journal.change_lease(
        "L-1", phase="granted", login=LOGIN, device_uuids=["GPU-a", "GPU-b"], hard_end=time.time() + 600
    )
    host = SandboxHost(folder, journal)
    door = SshDoor(journal, host)
    opened = await door.start()
    watch = asyncio.create_task(door.watch())
    try:
        yield opened, journal
    finally:
        watch.cancel()
        await door.stop()
        await asyncio.to_thread(host.end_everything)


def connect(door: Door, keys: Any, login: str = LOGIN) -> Any:
    """A client connection that trusts exactly the door's host key."""
    host_key = asyncssh.import_public_key(door.host_key)
    return asyncssh.connect(
        door.host,
        door.port,
        username=login,
        client_keys=keys,
        known_hosts=([host_key], [], []),
        agent_path=None,
        config=None,
    )


def drive(scene: Coroutine[Any, Any, None]) -> None:
    """Run a scene to its end."""
    asyncio.run(asyncio.wait_for(scene, 60))


@pytest.fixture
def tenant() -> Tenant:
    return Tenant()


def test_a_valid_certificate_gets_in_and_sees_its_home_and_devices(tmp_path: Path, tenant: Tenant) -> None:
    async def scene() -> None:
        async with (
            open_door(tmp_path, tenant) as (door, _),
            connect(door, tenant.certificate([LOGIN])) as client,
        ):
            said = await client.run('echo "$PWD|$USER|$BITGOEUL_LEASE|$CUDA_VISIBLE_DEVICES"; exit 3')
            assert said.exit_status == 3
            assert said.stdout.strip() == f"{tmp_path}/homes/{LOGIN}|{LOGIN}|L-1|GPU-a,GPU-b"
            assert (await client.run("cat", input="through")).stdout == "through"
            assert (tmp_path / "homes" / LOGIN).stat().st_mode & 0o777 == 0o700

    drive(scene())


@pytest.mark.skipif(not shutil.which("ssh"), reason="no OpenSSH client on this machine; asyncssh's is used above")
def test_openssh_gets_in_with_a_key_and_a_certificate(tmp_path: Path, tenant: Tenant) -> None:
    (key, certificate) = tenant.certificate([LOGIN])[0]
    key_file, certificate_file = tmp_path / "id", tmp_path / "id-cert.pub"
    key.write_private_key(key_file)
    key_file.chmod(0o600)
    certificate.write_certificate(certificate_file)

    async def scene() -> None:
        async with open_door(tmp_path, tenant) as (door, _):
            known = tmp_path / "known_hosts"
            known.write_text(f"[{door.host}]:{door.port} {door.host_key}\n")
            options = ["BatchMode=yes", f"UserKnownHostsFile={known}", f"CertificateFile={certificate_file}"]
            words = ["ssh", "-F", "none", "-i", str(key_file), "-p", str(door.port)]
            words += [word for option in options for word in ("-o", option)]
            pipe = asyncio.subprocess.PIPE
            for login, status, output in ((LOGIN, 4, b"L-1\n"), ("bg-two", 255, b"")):
                command = [*words, f"{login}@{door.host}", "echo $BITGOEUL_LEASE; exit 4"]
                client = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
                said, complaint = await client.communicate()
                assert (client.returncode, said) == (status, output), complaint

    drive(scene())


def test_a_terminal_is_a_real_terminal(tmp_path: Path, tenant: Tenant) -> None:
    async def scene() -> None:
        async with (
            open_door(tmp_path, tenant) as (door, _),
            connect(door, tenant.certificate([LOGIN])) as client,
            client.create_process(term_type="xterm", term_size=(101, 33)) as shell,
        ):
            shell.stdin.write("stty size; tty; exit 7\n")
            output = await shell.stdout.read()
            await shell.wait()
            assert "33 101" in output
            assert "/dev/pts/" in output
            assert shell.exit_status == 7

    drive(scene())


def test_others_stay_outside(tmp_path: Path, tenant: Tenant) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519")

    async def scene() -> None:
        async with open_door(tmp_path, tenant) as (door, journal):
            attempts = {
                "another CA": (tenant.certificate([LOGIN], authority=stranger), LOGIN),
                "expired": (tenant.certificate([LOGIN], valid_for_seconds=-1), LOGIN),
                "another principal": (tenant.certificate(["bg-two"]), LOGIN),
                "no principal": (tenant.certificate([]), LOGIN),
                "a login that is not granted": (tenant.certificate(["bg-two"]), "bg-two"),
                "a bare key": ([tenant.key], LOGIN),
            }
            for keys, login in attempts.values():
                with pytest.raises(asyncssh.PermissionDenied):
                    await connect(door, keys, login)
            journal.change_lease("L-1", phase="revoked")
            with pytest.raises(asyncssh.PermissionDenied):
                await connect(door, tenant.certificate([LOGIN]))

    drive(scene())


def test_nothing_is_forwarded(tmp_path: Path, tenant: Tenant) -> None:
    async def scene() -> None:
        async with (
            open_door(tmp_path, tenant) as (door, _),
            connect(door, tenant.certificate([LOGIN])) as client,
        ):
            with pytest.raises(asyncssh.ChannelOpenError):
                await client.open_connection("127.0.0.1", door.port)
            with pytest.raises(asyncssh.ChannelListenError):
                await client.forward_remote_port("127.0.0.1", 0, "127.0.0.1", door.port)

    drive(scene())


def test_a_session_ends_when_the_journal_no_longer_grants(tmp_path: Path, tenant: Tenant) -> None:
    async def scene() -> None:
        async with (
            open_door(tmp_path, tenant) as (door, journal),
            connect(door, tenant.certificate([LOGIN])) as client,
        ):
            running = await client.create_process("echo ready; sleep 600")
            assert (await running.stdout.readline()).strip() == "ready"
            await asyncio.to_thread(journal.change_lease, "L-1", phase="closing")
            await client.wait_closed()

    drive(scene())


def test_the_door_keeps_its_port_and_its_key(tmp_path: Path, tenant: Tenant) -> None:
    async def scene() -> None:
        async with open_door(tmp_path, tenant) as (first, _):
            pass
        async with open_door(tmp_path, tenant) as (second, _):
            assert second == first

    drive(scene())
