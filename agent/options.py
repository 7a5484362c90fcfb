"""What the agent is told on its command line and by its environment."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

AGENT_VERSION = "1"
STATE = Path("/var/lib/bitgoeul")
ROOT_SOCKET = Path("/run/bitgoeul/root.sock")
HOST_KEY = Path("/etc/ssh/ssh_host_ed25519_key.pub")
PARTS = ("worker", "sampler", "keeper")


@dataclass(frozen=True)
class AgentOptions:
    """One agent. Seconds are the pace of heartbeats and samples; `spool_batches` bounds what waits on disk.

    `kernel_log` is /dev/kmsg or a file of its records.
    """

    portal: str
    token_file: Path
    sandbox: Path | None
    nvml_library: str | None
    redis_url: str
    heartbeat_seconds: float
    sample_seconds: float
    spool_batches: int
    kernel_log: Path
    folder: Path = STATE
    root_socket: Path = ROOT_SOCKET
    ssh_address: str = ""
    ssh_host_key: Path = HOST_KEY
    join_token_file: Path | None = None
    part: str | None = None

    @property
    def state(self) -> Path:
        """The folder of everything that a restart must not forget."""
        return (self.sandbox or self.folder) / "state"

    def beat_file(self, part: str) -> Path:
        """What a part touches while it goes round; the supervisor replaces one that stands still."""
        return self.state / f"{part}.beat"

    def arguments(self, part: str) -> list[str]:
        """The command line of one part."""
        words = ["--portal", self.portal, "--token-file", str(self.token_file)]
        if self.sandbox is not None:
            words += ["--sandbox", str(self.sandbox)]
        else:
            words += ["--state", str(self.folder), "--root-socket", str(self.root_socket)]
            words += ["--ssh-address", self.ssh_address, "--ssh-host-key", str(self.ssh_host_key)]
        words += ["--nvml-library", self.nvml_library] if self.nvml_library else []
        return [*words, "--part", part]


def parse(words: list[str]) -> AgentOptions:
    """Options from a command line; exits with one line where something is missing."""
    parser = argparse.ArgumentParser(prog="python -m agent", description="The agent of a GPU node.")
    parser.add_argument("--portal", required=True, metavar="URL")
    parser.add_argument("--token-file", required=True, type=Path, metavar="F", help="one line: the node's token")
    parser.add_argument("--join-token-file", type=Path, metavar="F", help="a new node: fetch the token with this, once")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--sandbox", type=Path, metavar="DIR", help="no Linux users: work as the current one, in DIR")
    where.add_argument("--state", type=Path, default=STATE, metavar="DIR", help=f"what a restart needs ({STATE})")
    parser.add_argument("--root-socket", type=Path, default=ROOT_SOCKET, metavar="PATH", help="of the root part")
    parser.add_argument("--ssh-address", default="", metavar="HOST[:PORT]", help="where tenants reach this node's sshd")
    parser.add_argument("--ssh-host-key", type=Path, default=HOST_KEY, metavar="F", help="sshd's public key")
    parser.add_argument("--nvml-library", metavar="PATH", help="the libnvidia-ml.so.1 to load")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    return AgentOptions(
        portal=given.portal.rstrip("/"),
        token_file=given.token_file.resolve(),
        sandbox=given.sandbox.resolve() if given.sandbox else None,
        nvml_library=given.nvml_library,
        redis_url=os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"),
        heartbeat_seconds=float(os.environ.get("AGENT_HEARTBEAT_SECONDS", "5")),
        sample_seconds=float(os.environ.get("AGENT_SAMPLE_SECONDS", "10")),
        spool_batches=int(os.environ.get("AGENT_SPOOL_BATCHES", "720")),
        kernel_log=Path(os.environ.get("AGENT_KERNEL_LOG", "/dev/kmsg")),
        folder=given.state.resolve(),
        root_socket=given.root_socket,
        ssh_address=given.ssh_address,
        ssh_host_key=given.ssh_host_key,
        join_token_file=given.join_token_file,
        part=given.part,
    )


def boot_id() -> str:
    """The kernel's id of this boot: a restarted agent keeps it. AGENT_BOOT_ID overrides it in tests."""
    return os.environ.get("AGENT_BOOT_ID") or Path("/proc/sys/kernel/random/boot_id").read_text().strip()
