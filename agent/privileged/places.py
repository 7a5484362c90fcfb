"""Where the root part keeps its things, and the refusals it answers with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

WORLD_WRITABLE = ("/tmp", "/var/tmp", "/dev/shm", "/run/lock", "/var/crash")  # noqa: S108  # swept, not used


class Refused(Exception):
    """It was not done. `code` goes back to the agent; `why` only into the log."""

    def __init__(self, code: str, why: str = "") -> None:
        super().__init__(f"{code}: {why}" if why else code)
        self.code = code
        self.why = why


@dataclass(frozen=True)
class Places:
    """Folders and ranges, set by the command line of a root-owned unit and by nobody else."""

    state: Path = Path("/var/lib/bitgoeul-root")
    homes: Path = Path("/var/lib/bitgoeul-homes")
    ssh: Path = Path("/etc/ssh/bitgoeul")
    log: Path = Path("/var/log/bitgoeul/root.jsonl")
    units: Path = Path("/etc/systemd/system")
    devices: Path = Path("/dev")
    system: Path = Path("/sys")
    capabilities: Path = Path("/proc/driver/nvidia/capabilities")
    shared: tuple[Path, ...] = tuple(Path(path) for path in WORLD_WRITABLE)
    first_uid: int = 2_000_000
    uid_count: int = 1_000_000

    @property
    def principals(self) -> Path:
        """One file a login that is let in; sshd reads them."""
        return self.ssh / "principals"

    def owns(self, uid: int) -> bool:
        """Whether a uid is of the range that this node gives to leases."""
        return self.first_uid <= uid < self.first_uid + self.uid_count
