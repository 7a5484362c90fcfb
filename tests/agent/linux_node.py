"""A node of real Linux users on this machine, apart from everything else on it: the root part over folders of its own.

with linux_node() as node:
    node.root.ask("open", **node.opening("bg-t1"))

Users have the prefix `bg-t` and uids of a range of their own; both are gone afterwards. Devices are twins of harmless
real ones under the names of a GPU's.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.host.root_part import RootPart
from agent.privileged.groups import CONTROL, SYSTEMD_RUNS, RawGroups
from tests.simulator.nodes import ROOT, wait_until

HARMLESS = ((10, 229), (10, 200), (1, 11))  # fuse, tun, kmsg: opening them changes nothing
TOOLS = "/usr/sbin:/usr/bin:/sbin:/bin"
NODE_DEVICES = [[0, -1], [1, -1]]


def why_not() -> str:
    """Why no such node can be here, or an empty string."""
    if os.geteuid() != 0:
        return "real users need root"
    if missing := [
        name
        for name in ("useradd", "sshd", "ssh-keygen")
        if not shutil.which(name, path=os.defpath + ":/usr/sbin:/sbin")
    ]:
        return f"not installed: {', '.join(missing)}"
    if SYSTEMD_RUNS.is_dir():
        return "systemd is the first process here: slices would be the real machine's"
    if not os.access(CONTROL / "devices/devices.deny", os.W_OK):
        return "no cgroup v1 devices controller that can be written, and no systemd"
    return ""


@dataclass
class LinuxNode:
    """The root part, listening. `folder` holds everything but the users."""

    folder: Path
    name: str
    first_uid: int
    process: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] | None = None
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def root(self) -> RootPart:
        """The agent's side of the socket."""
        return RootPart(self.folder / "run/root.sock")

    @property
    def groups(self) -> RawGroups:
        """The control groups that the root part uses."""
        return RawGroups(self.name)

    def words(self, *more: str) -> list[str]:
        """The command line of the root part."""
        folders = {name: self.folder / name for name in ("state", "homes", "ssh", "units", "dev", "capabilities")}
        folders["devices"] = folders.pop("dev")
        options = [word for name, path in folders.items() for word in (f"--{name}", str(path))]
        options += ["--log", str(self.folder / "log/root.jsonl"), "--shared", str(self.folder / "shared")]
        options += ["--first-uid", str(self.first_uid), "--uid-count", "50", "--group-parent", self.name]
        return [sys.executable, "-m", "agent.privileged", "--agent-user", "root", *options, *more]

    def start(self) -> None:
        """Listen; returns when somebody answers."""
        socket = self.folder / "run/root.sock"
        self.process = subprocess.Popen(self.words("--listen", str(socket)), cwd=ROOT, env=self.environment)
        wait_until(lambda: socket.exists() and stat.S_IMODE(socket.stat().st_mode) == 0o660)

    def login(self, word: str) -> str:
        """A login of this node alone."""
        return f"bg-t{self.name[-6:]}-{word}"

    def opening(
        self, word: str, *, minors: tuple[int, ...] = (0,), seconds: float = 600, **more: Any
    ) -> dict[str, Any]:
        """Arguments of `open`."""
        said = {"lease": f"L-{word}", "login": self.login(word), "hard_end": time.time() + seconds}
        said |= {"minors": list(minors), "node_devices": NODE_DEVICES, "parts": []}
        return {**said, **more}

    def open(self, word: str, **changes: Any) -> pwd.struct_passwd:
        """Open a login; its entry among the machine's users."""
        self.root.ask("open", **self.opening(word, **changes))
        return pwd.getpwnam(self.login(word))

    def run(self, word: str, *command: str, **options: Any) -> subprocess.Popen[bytes]:
        """A process as a session of the login would start it: in its control groups, with its numbers."""
        entry = pwd.getpwnam(self.login(word))

        def become() -> None:
            self.groups.enter(entry.pw_uid, os.getpid())
            os.setgroups([])
            os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
            os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
            os.umask(0o022)

        environment = {"PATH": os.environ["PATH"], "HOME": entry.pw_dir}
        child = subprocess.Popen(
            command,
            preexec_fn=become,  # noqa: PLW1509  # a test has one thread
            env=environment,
            cwd=entry.pw_dir,
            start_new_session=True,
            **options,
        )
        self.children.append(child)
        return child

    def offer_instance(self, minor: int, gpu: int, compute: int, first: int) -> None:
        """The driver's capability files of a MIG instance, and their nodes: nvidia-cap<first> and the next."""
        folder = self.folder / f"capabilities/gpu{minor}/mig/gi{gpu}"
        for number, file in ((first, folder / "access"), (first + 1, folder / f"ci{compute}/access")):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"DeviceFileMinor: {number}\nDeviceFileMode: 292\nDeviceFileModify: 1\n")
            node = self.folder / f"dev/nvidia-caps/nvidia-cap{number}"
            node.parent.mkdir(exist_ok=True)
            os.mknod(node, stat.S_IFCHR | 0o444, os.makedev(1, 5))

    def stop(self) -> None:
        """End everything and remove the users."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
        for child in self.children:
            child.kill()
            child.wait()
        for entry in pwd.getpwall():
            if self.first_uid <= entry.pw_uid < self.first_uid + 50:
                subprocess.run(["userdel", "--force", entry.pw_name], capture_output=True)
        for root in CONTROL.iterdir():
            for group in sorted((root / self.name).glob("**/"), reverse=True):
                with suppress(OSError):
                    group.rmdir()
        shutil.rmtree(self.folder)


@contextmanager
def linux_node(environment: dict[str, str] | None = None) -> Iterator[LinuxNode]:
    """A node; the test is skipped, with the reason, where none can be. `environment`: root's, else the test's."""
    if reason := why_not():
        pytest.skip(reason)
    # sshd trusts no file below a folder that others may write to: not in /tmp.
    folder = Path(tempfile.mkdtemp(prefix="bg-test-", dir="/var/lib"))
    folder.chmod(0o755)
    (folder / "dev").mkdir(mode=0o755)
    (folder / "shared").mkdir()
    (folder / "shared").chmod(0o1777)
    first = 2_100_000 + 50 * secrets.randbelow(10_000)
    node = LinuxNode(folder, f"bg-test-{secrets.token_hex(3)}", first, environment=environment)
    try:
        make_devices(folder / "dev")
        node.start()
        yield node
    finally:
        node.stop()


def make_devices(folder: Path) -> None:
    """nvidia0 and nvidia1, as twins of two devices that this machine lets root open."""
    for name in ("nvidiactl", "nvidia-uvm"):
        try:
            os.mknod(folder / name, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("root may make no device nodes here")
    made = 0
    for major, minor in HARMLESS:
        path = folder / f"nvidia{made}"
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(major, minor))
            path.chmod(0o666)
            os.close(os.open(path, os.O_RDONLY))
        except OSError:
            path.unlink(missing_ok=True)
            continue
        made += 1
        if made == 2:
            return
    pytest.skip("no two character devices that can be opened here")
