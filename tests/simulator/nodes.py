"""Simulated nodes for tests: a real `serve` process over a state file, and jobs as real processes on it.

node = start_node(tmp_path)
subprocess.run([...], env=node.env)      # any NVML program sees the node
job = node.run(["sleep", "60"], gpus=[0, 1], memory_mib=40_000)
node.stop()
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from simulator import commands
from simulator.node import SimNode

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class SimulatedNode:
    """A served node. `env` is a whole environment for subprocesses; `brain` is the state file opened in-process."""

    state: Path
    env: dict[str, str]
    process: subprocess.Popen[str]
    jobs: list[subprocess.Popen[str]] = field(default_factory=list)

    @cached_property
    def brain(self) -> SimNode:
        """The node, opened in this process: inject faults, tick, read the UUIDs."""
        return SimNode.open(self.state)

    def run(
        self, command: list[str], *, gpus: list[int], memory_mib: int, workload: str = "pretrain"
    ) -> subprocess.Popen[str]:
        """Start a job through `python -m simulator run`; returns once it is on its devices.

        The returned process is the wrapper; `job_pid` gives the job's own.
        """
        before = {process.pid for process in self.brain.processes()}
        arguments = ["run", "--state", str(self.state), "--gpu", ",".join(map(str, gpus)), "--mem", str(memory_mib)]
        job = subprocess.Popen(
            [sys.executable, "-m", "simulator", *arguments, "--workload", workload, "--", *command],
            env=self.env,
            text=True,
            cwd=ROOT,
        )
        self.jobs.append(job)
        wait_until(lambda: job.poll() is not None or {p.pid for p in self.brain.processes()} - before)
        return job

    def job_pid(self, job: subprocess.Popen[str]) -> int:
        """The PID that NVML shows for a job."""
        return int(Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()[0])

    def fault(self, kind: str, **arguments: Any) -> None:
        """Put a fault into the node at once."""
        self.brain.inject(kind, **arguments)

    def stop(self) -> None:
        """End the jobs and the brain, and wait for both."""
        for job in self.jobs:
            if job.poll() is None:
                job.send_signal(signal.SIGTERM)
        for job in self.jobs:
            try:
                job.wait(timeout=10)
            except subprocess.TimeoutExpired:
                job.kill()
                job.wait()
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(timeout=10)
        if self.process.stdout:
            self.process.stdout.close()


def wait_until(condition: Any, seconds: float = 20.0) -> None:
    """Wait for a condition; AssertionError where it never comes true."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "the condition never came true"
        time.sleep(0.05)


def start_node(
    tmp_path: Path,
    profile: str = "h100_sxm_8",
    name: str = "gpu-01",
    seed: int = 1,
    count: int | None = None,
    root: bool = True,
) -> SimulatedNode:
    """Serve a node under tmp_path/<name>.state; returns when it answers. `root`: may callers change settings?"""
    state = tmp_path / f"{name}.state"
    command = [sys.executable, "-m", "simulator", "serve", profile, "--state", str(state), "--node", name]
    command += ["--seed", str(seed), "--with-parent", *(["--count", str(count)] if count else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert "serving" in process.stdout.readline()
    variables = {**os.environ, **commands.environment(state), "NVML_SIM_ROOT": "1" if root else "0"}
    variables["PYTHONPATH"] = str(ROOT)
    return SimulatedNode(state, variables, process)
