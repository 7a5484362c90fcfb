"""A session behind the SSH door: a shell or a command as a real process in the login's folder."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pwd
import signal
import struct
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import asyncssh

from agent.host.processes import LEASE_MARKER, NODE_MARKER
from agent.journal import LocalLease

CHUNK_BYTES = 65_536
DRAIN_SECONDS = 1.0  # a job in the background may hold the pipe open; the session does not wait for it
REPOSITORY = Path(__file__).resolve().parents[2]
PASSED_ON = ("NVML_SIM_STATE", "NVML_LIBRARY", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")
Ssh = asyncssh.SSHServerProcess[bytes]


def environment(lease: LocalLease, home: Path, node: str, terminal: str | None) -> dict[str, str]:
    """A tenant's variables: nothing of the agent's own but where NVML is."""
    tools = str(Path(sys.executable).parent)
    return {
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        "HOME": str(home),
        "USER": lease.login,
        "LOGNAME": lease.login,
        "SHELL": shell(),
        "PATH": os.pathsep.join([tools, "/usr/local/bin", "/usr/bin", "/bin"]),
        "PYTHONPATH": str(REPOSITORY),
        "CUDA_VISIBLE_DEVICES": ",".join(lease.device_uuids),
        LEASE_MARKER: lease.lease,
        NODE_MARKER: node,
        **({"TERM": terminal} if terminal else {}),
    }


def shell() -> str:
    """bash where there is one."""
    return next((path for path in ("/bin/bash", "/usr/bin/bash") if Path(path).exists()), pwd.getpwuid(0).pw_shell)


async def run_session(ssh: Ssh, lease: LocalLease, home: Path, node: str, still_admitted: Callable[[], bool]) -> None:
    """Run what was asked for and pass on its exit status. A hang-up of the client is a SIGHUP to its process group."""
    terminal = ssh.get_terminal_type()
    variables = environment(lease, home, node, terminal)
    command = [shell(), "-c", ssh.command] if ssh.command else [shell(), *([] if terminal else ["-s"])]
    start = _start_with_terminal if terminal else _start_with_pipes
    child, pumps = await start(ssh, command, variables, home)
    if not still_admitted():  # revoked between the look at the journal and the start
        _signal(child, signal.SIGKILL)
    gone = asyncio.ensure_future(ssh.channel.wait_closed())
    ended = asyncio.ensure_future(child.wait())
    await asyncio.wait({gone, ended}, return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        _signal(child, signal.SIGHUP)
        await ended
    await asyncio.wait(pumps[1:], timeout=DRAIN_SECONDS) if pumps[1:] else None
    for pump in (*pumps, gone):
        pump.cancel()
    status = ended.result()
    with suppress(OSError, asyncssh.Error):
        if status < 0:
            ssh.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
        else:
            ssh.exit(status)


def _signal(child: asyncio.subprocess.Process, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, number)


Started = tuple[asyncio.subprocess.Process, list["asyncio.Future[None]"]]


async def _start_with_pipes(ssh: Ssh, command: list[str], variables: dict[str, str], home: Path) -> Started:
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *command, env=variables, cwd=home, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
    )
    assert child.stdin and child.stdout and child.stderr
    tasks = [
        _feed(ssh, child, child.stdin),
        _pour(child.stdout, ssh.stdout),
        _pour(child.stderr, ssh.stderr),
    ]
    return child, [asyncio.ensure_future(task) for task in tasks]


async def _feed(ssh: Ssh, child: asyncio.subprocess.Process, into: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncssh.Error):
        while True:
            try:
                data = await ssh.stdin.read(CHUNK_BYTES)
            except asyncssh.SignalReceived as asked:
                _signal(child, getattr(signal, f"SIG{asked.signal}", signal.SIGTERM))
                continue
            except (asyncssh.BreakReceived, asyncssh.TerminalSizeChanged):
                continue
            if not data:
                break
            into.write(data)
            await into.drain()
    with suppress(OSError):
        into.close()


async def _pour(source: asyncio.StreamReader, into: asyncssh.SSHWriter[bytes]) -> None:
    with suppress(OSError, asyncssh.Error):
        while data := await source.read(CHUNK_BYTES):
            into.write(data)
            await into.drain()


async def _start_with_terminal(ssh: Ssh, command: list[str], variables: dict[str, str], home: Path) -> Started:
    ours, theirs = os.openpty()
    _resize(ours, ssh.get_terminal_size())

    def take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    try:
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=home,
            env=variables,
            start_new_session=True,
            preexec_fn=take_terminal,
        )
    finally:
        os.close(theirs)
    os.set_blocking(ours, False)
    output: asyncio.Queue[bytes] = asyncio.Queue()
    asyncio.get_running_loop().add_reader(ours, _read_terminal, ours, output)
    pumps: list[asyncio.Future[None]] = [
        asyncio.ensure_future(_type(ssh, child, ours)),
        asyncio.ensure_future(_show(ssh, output, ours)),
    ]
    # Only when neither uses it any more: the number of a closed descriptor is given to somebody else.
    asyncio.gather(*pumps, return_exceptions=True).add_done_callback(lambda _: os.close(ours))
    return child, pumps


def _read_terminal(ours: int, output: asyncio.Queue[bytes]) -> None:
    try:
        data = os.read(ours, CHUNK_BYTES)
    except BlockingIOError:
        return
    except OSError:  # EIO: nobody has the other side open any more
        data = b""
    if not data:
        asyncio.get_running_loop().remove_reader(ours)
    output.put_nowait(data)


async def _show(ssh: Ssh, output: asyncio.Queue[bytes], ours: int) -> None:
    try:
        while data := await output.get():
            ssh.stdout.write(data)
            await ssh.stdout.drain()
    except (OSError, asyncssh.Error):
        pass
    finally:
        asyncio.get_running_loop().remove_reader(ours)


async def _type(ssh: Ssh, child: asyncio.subprocess.Process, ours: int) -> None:
    with suppress(OSError, asyncssh.Error):
        while True:
            try:
                data = await ssh.stdin.read(CHUNK_BYTES)
            except asyncssh.TerminalSizeChanged as now:
                _resize(ours, (now.width, now.height, now.pixwidth, now.pixheight))
                continue
            except asyncssh.SignalReceived as asked:
                _signal(child, getattr(signal, f"SIG{asked.signal}", signal.SIGTERM))
                continue
            except asyncssh.BreakReceived:
                continue
            if not data:
                os.write(ours, b"\x04")
                return
            while data:
                try:
                    data = data[os.write(ours, data) :]
                except BlockingIOError:
                    await asyncio.sleep(0.02)


def _resize(terminal: int, size: tuple[int, int, int, int]) -> None:
    width, height, pixel_width, pixel_height = size
    packed = struct.pack("HHHH", height or 24, width or 80, pixel_width, pixel_height)
    with suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, packed)
