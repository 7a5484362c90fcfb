"""A real sshd over a LinuxNode, with the snippet that nodes get, on a port of its own: nothing of the machine's.

with sshd(node) as door:
    connect(door.port, ...)
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.agent.linux_node import TOOLS, LinuxNode
from tests.simulator.nodes import ROOT, wait_until

SNIPPET = ROOT / "deploy/ssh/60-bitgoeul.conf"
SEPARATION = Path("/run/sshd")  # built into sshd; systemd makes it on a real node


@dataclass
class Sshd:
    """`log` is what sshd has said."""

    port: int
    host_key: Path
    log: Path


@contextmanager
def sshd(node: LinuxNode) -> Iterator[Sshd]:
    """Listening on loopback; gone afterwards."""
    folder = node.folder / "sshd"
    folder.mkdir(mode=0o755)
    key = folder / "host_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lines = [f"ListenAddress 127.0.0.1:{port}", f"HostKey {key}", "PidFile none", "UsePAM no", "PermitRootLogin yes"]
    lines += [
        "MaxStartups 100",
        "StrictModes yes",
        SNIPPET.read_text().replace("/etc/ssh/bitgoeul", f"{node.folder}/ssh"),
    ]
    config = folder / "sshd_config"
    config.write_text("\n".join(lines) + "\n")
    # Left where it is: another test process may have an sshd of its own at this moment.
    SEPARATION.mkdir(mode=0o755, exist_ok=True)
    program = str(shutil.which("sshd", path=TOOLS))
    log = folder / "log"
    with log.open("wb") as said:
        process = subprocess.Popen([program, "-D", "-e", "-f", str(config)], stderr=said, stdin=subprocess.DEVNULL)
    wait_until(lambda: process.poll() is not None or "Server listening" in log.read_text())
    assert process.poll() is None, log.read_text()
    try:
        yield Sshd(port, key.with_suffix(".pub"), log)
    finally:
        process.terminate()
        process.wait()


def sign(authority: Path, key: Path, *, principals: str, serial: int, validity: str = "-5m:+10m") -> Path:
    """A certificate for `key` (made where missing) by ssh-keygen; the file of the certificate."""
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    words = ["ssh-keygen", "-q", "-s", str(authority), "-I", f"test {serial}", "-z", str(serial), "-V", validity]
    words += ["-n", principals] if principals else []
    subprocess.run([*words, str(key.with_suffix(".pub"))], check=True)
    return key.with_name(f"{key.name}-cert.pub")


def new_authority(path: Path) -> str:
    """A CA's key at `path`; its public line."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


def ssh(door: Sshd, login: str, key: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """OpenSSH's client with this key and its certificate, and nothing else of the user's."""
    words = ["ssh", "-F", "none", "-i", str(key), "-p", str(door.port), "-o", "BatchMode=yes"]
    for option in ("IdentitiesOnly=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"):
        words += ["-o", option]
    return subprocess.run([*words, f"{login}@127.0.0.1", *command], capture_output=True, text=True, timeout=60)
