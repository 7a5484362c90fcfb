"""OpenSSH as a partner has it: a key and its certificate in ~/.ssh, and the command that the page shows."""

import base64
import hashlib
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass
class SshHome:
    """A home folder with a key. Commands are run as shown, with this folder as `~` and its own known_hosts."""

    folder: Path

    @classmethod
    def with_key(cls, folder: Path, private_key: Path) -> "SshHome":
        """A new home below `folder` holding a copy of the key as id_ed25519."""
        if not shutil.which("ssh"):
            pytest.skip("no OpenSSH client on this machine: install openssh-client")
        home = cls(folder)
        home.ssh.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.key.write_bytes(private_key.read_bytes())
        home.key.chmod(0o600)
        return home

    @property
    def ssh(self) -> Path:
        return self.folder / ".ssh"

    @property
    def key(self) -> Path:
        return self.ssh / "id_ed25519"

    @property
    def certificate(self) -> Path:
        return self.ssh / "id_ed25519-cert.pub"

    @property
    def known_hosts(self) -> Path:
        return self.ssh / "known_hosts"

    def words(self, shown: str, then: str = "") -> list[str]:
        """The shown `ssh …` command with another command behind it, as bash runs it; nothing is asked of a person."""
        options = f"-F none -o BatchMode=yes -o UserKnownHostsFile={self.known_hosts}"
        assert shown.startswith("ssh ")
        command = shown.replace("ssh ", f"ssh {options} -o StrictHostKeyChecking=accept-new ", 1)
        return ["bash", "-c", f"cd && {command} {shlex.quote(then) if then else ''}"]

    def run(self, shown: str, then: str = "") -> "subprocess.CompletedProcess[str]":
        """Run it to its end."""
        environment = {"HOME": str(self.folder), "PATH": "/usr/local/bin:/usr/bin:/bin"}
        return subprocess.run(
            self.words(shown, then), env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    def start(self, shown: str, then: str) -> "subprocess.Popen[bytes]":
        """Leave it running."""
        environment = {"HOME": str(self.folder), "PATH": "/usr/local/bin:/usr/bin:/bin"}
        return subprocess.Popen(self.words(shown, then), env=environment, stdin=subprocess.DEVNULL)

    def fingerprints(self) -> set[str]:
        """SHA-256 of the host keys that were met, as OpenSSH writes them."""
        blobs = [line.split()[2] for line in self.known_hosts.read_text().splitlines() if line.strip()]
        digests = [hashlib.sha256(base64.b64decode(blob)).digest() for blob in blobs]
        return {"SHA256:" + base64.b64encode(digest).decode().rstrip("=") for digest in digests}
