"""What is tested: the machine's own driver, or a node of the simulator in its place; and work for its devices."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROFILE = os.environ.get("HARDWARE_PROFILE", "")
"""A profile of the simulator's: what the real library is compared with."""
DRIVER = Path("/proc/driver/nvidia/version")
READY_SECONDS = 60.0
FULL = "full"
_SIMULATED = {
    "context": ("idle", 520),
    "parked": ("idle", 0),
    "spin": ("hung", 520),
    "trickle": ("preprocess", 520),
    "copy": ("inference", 520),
    FULL: ("pretrain", 1_000),
}
"""Which workload of the simulator stands for which program, and the memory of its context in MiB."""


def why_not() -> str:
    """Why nothing can be tested here; empty where something can."""
    if PROFILE or DRIVER.exists():
        return ""
    return f"no NVIDIA driver here ({DRIVER} is missing), and no HARDWARE_PROFILE"


@dataclass
class Work:
    """A program that has the device."""

    process: subprocess.Popen[str]
    pid: int

    def kill(self) -> None:
        """SIGKILL the program itself."""
        os.kill(self.pid, 9)

    def wait(self) -> str:
        """To its end; what else it said."""
        said, _ = self.process.communicate(timeout=READY_SECONDS)
        return said


class Target:
    """A node. `state` is the simulator's state file, None on a real driver."""

    def __init__(self, state: Path | None) -> None:
        self.state = state

    @property
    def real(self) -> bool:
        """Whether this is a real driver."""
        return self.state is None

    def command(self, kind: str, seconds: float, mib: int) -> list[str]:
        """The program on the first device: it says `ready`, and ends after so long."""
        if self.state is not None:
            workload, context = _SIMULATED[kind]
            run = [sys.executable, "-m", "simulator", "run", "--state", str(self.state), "--gpu", "0"]
            return [*run, "--mem", str(context + mib), "--workload", workload, "--", "sleep", str(seconds)]
        if kind == FULL:
            return [sys.executable, str(ROOT / "tests" / "hardware" / "matmul.py"), str(seconds)]
        return [sys.executable, "-m", "tests.hardware.cuda", kind, str(seconds), str(mib)]

    @contextmanager
    def work(self, kind: str, seconds: float, mib: int = 0) -> Iterator[Work]:
        """A program on the first device, from when it stands there; killed where it does not end with the block."""
        process = subprocess.Popen(self.command(kind, seconds, mib), stdout=subprocess.PIPE, text=True, cwd=ROOT)
        try:
            yield Work(process, self._standing(process))
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(READY_SECONDS)

    def _standing(self, process: subprocess.Popen[str]) -> int:
        assert process.stdout is not None
        if self.real:
            assert process.stdout.readline().strip() == "ready", f"status {process.poll()}"
            return process.pid
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_until(lambda: children.read_text().split())
        time.sleep(0.3)
        return int(children.read_text().split()[0])


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> float:
    """Wait; seconds that it took. AssertionError where it never comes true."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "the condition never came true"
        time.sleep(0.02)
    return time.monotonic() - began


@contextmanager
def opened() -> Iterator[Target]:
    """The target; a simulated node is served for as long as the block lasts."""
    if not PROFILE:
        yield Target(None)
        return
    from simulator import commands

    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "gpu-01.state"
        serve = [sys.executable, "-m", "simulator", "serve", PROFILE, "--state", str(state), "--count", "1"]
        brain = subprocess.Popen([*serve, "--with-parent"], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert brain.stdout is not None
        assert "serving" in brain.stdout.readline()
        os.environ.update(commands.environment(state))
        try:
            yield Target(state)
        finally:
            brain.terminate()
            brain.wait(10)
