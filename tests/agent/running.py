"""An agent as it really runs: `python -m agent` over a simulated node, against a portal that answers.

agent = start_agent(tmp_path, live_server.url, token, sim_node, redis_url)
agent.pids["keeper"]; agent.journal.open_leases()
agent.stop()
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from agent.journal import Journal
from agent.options import PARTS
from tests.simulator.nodes import ROOT, SimulatedNode, wait_until

STOP_SECONDS = 20


@dataclass
class RunningAgent:
    """A supervisor with its parts. `sandbox` is the folder that it works in."""

    process: subprocess.Popen[bytes]
    sandbox: Path

    @cached_property
    def journal(self) -> Journal:
        """The agent's own journal."""
        return Journal(self.sandbox / "state")

    @property
    def pids(self) -> dict[str, int]:
        """The PID of each part that runs."""
        found = {}
        for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if "--part" in words:
                found[words[words.index("--part") + 1]] = int(pid)
        return found

    def wait_for_hello(self, seconds: float = 60.0) -> None:
        """Until the portal has answered the first hello and every part runs."""
        wait_until(lambda: self.journal.fact("node") and set(self.pids) == set(PARTS), seconds)

    def kill(self, part: str) -> int:
        """kill -9 one part; its PID."""
        pid = self.pids[part]
        os.kill(pid, signal.SIGKILL)
        return pid

    def stop(self) -> None:
        """SIGTERM, and wait."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def start_agent(
    tmp_path: Path,
    portal_url: str,
    token: str,
    sim_node: SimulatedNode,
    redis_url: str,
    *,
    heartbeat_seconds: float = 0.5,
    sample_seconds: float = 1.0,
) -> RunningAgent:
    """Start an agent under tmp_path/<node's state file name>-agent; it is there at once, its hello comes later."""
    folder = tmp_path / f"{sim_node.state.stem}-agent"
    folder.mkdir(exist_ok=True)
    token_file = folder / "token"
    token_file.write_text(token + "\n")
    token_file.chmod(0o600)
    variables = {
        **sim_node.env,
        "REDIS_URL": redis_url,
        "AGENT_HEARTBEAT_SECONDS": str(heartbeat_seconds),
        "AGENT_SAMPLE_SECONDS": str(sample_seconds),
    }
    command = [sys.executable, "-m", "agent", "--portal", portal_url, "--token-file", str(token_file)]
    process = subprocess.Popen([*command, "--sandbox", str(folder / "sandbox")], env=variables, cwd=ROOT)
    return RunningAgent(process, folder / "sandbox")


def is_alive(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pid: int) -> None:
    """Until a process is no more."""
    wait_until(lambda: not is_alive(pid))


def soon(seconds: float) -> float:
    """An epoch time that far ahead."""
    return time.time() + seconds
