"""Every process of a portal and its nodes, started as the demo starts them, killed on demand and started again."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from agent.journal import Journal
from bench.campaign.wire import Wire
from bench.demo_start import free_port
from portal.demo import processes
from portal.demo.options import DemoOptions, node_environment
from portal.embedded import EmbeddedServices
from portal.embedded.process import Child, ChildSpec
from simulator.node import SimNode


@dataclass
class NodeUnderTest:
    """A simulated node with its agent: `sim` is the truth about its devices, `journal` what the agent holds."""

    name: str
    sim: SimNode
    sandbox: Path
    journal: Journal
    wire: Wire
    agent: Child

    def part(self, name: str) -> psutil.Process | None:
        """A part of the agent, where it runs now."""
        with suppress(psutil.Error):
            supervisor = psutil.Process(self.agent.process.pid if self.agent.process else 0)
            for child in supervisor.children():
                words = child.cmdline()
                if "--part" in words and words[words.index("--part") + 1] == name:
                    return child
        return None


class Machines:
    """The portal's processes and the nodes. Call `look` from a loop: it starts again what died."""

    def __init__(self, folder: Path, services: EmbeddedServices, node_count: int, devices_a_node: int) -> None:
        self.options = DemoOptions(folder, free_port(), node_count)
        self.services = services
        self.nodes: dict[str, NodeUnderTest] = {}
        self.children: dict[str, Child] = {}
        self._devices = devices_a_node
        self.started_again = 0

    def start_portal(self) -> None:
        """Web, worker and beat."""
        environment = {**os.environ, "DEMO": "true", "DEMO_DIR": str(self.options.folder), "PYTHONUNBUFFERED": "1"}
        for spec in processes.portal_processes(self.options, environment):
            self._start(spec.name, spec)

    def start_node(self, name: str, token: str) -> None:
        """The simulated devices, and the agent behind a wire of its own."""
        folder = self.options.node_folder(name)
        (folder / "sandbox").mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "token").write_text(token + "\n")
        environment = node_environment(redis_url=self.services.redis_url)
        sim = SimNode.create(folder / "nvml.state", processes.PROFILE, name=name, count=self._devices)
        simulator = processes.simulator_process(self.options, name, environment)
        self._start(f"{name} sim", replace(simulator, command=[*simulator.command, "--count", str(self._devices)]))
        wire = Wire(self.options.port)
        agent = processes.agent_process(self.options, name, environment)
        words = [word.replace(self.options.url, f"http://127.0.0.1:{wire.port}") for word in agent.command]
        child = self._start(f"{name} agent", replace(agent, command=words))
        self.nodes[name] = NodeUnderTest(
            name, sim, folder / "sandbox", Journal(folder / "sandbox" / "state"), wire, child
        )

    def look(self) -> None:
        """Start again what died and has waited its time, servers included."""
        self.started_again += len(self.services.tend())
        for child in self.children.values():
            if child.restart_due():
                self.started_again += 1
                child.start()

    def kill(self, name: str) -> None:
        """kill -9 of one process by its name: web, worker, beat, postgres, valkey, `<node> agent`."""
        servers: dict[str, Any] = {"postgres": self.services.postgres, "valkey": self.services.valkey}
        child = servers[name].child if name in servers else self.children[name]
        if child is not None and child.process is not None:
            with suppress(ProcessLookupError):
                os.kill(child.process.pid, signal.SIGKILL)

    def stop(self) -> None:
        """Agents, then what they talk to."""
        for suffix in (" agent", " sim", "beat", "worker", "web"):
            group = [child for name, child in self.children.items() if name.endswith(suffix)]
            for child in group:
                child.ask_to_stop()
            for child in group:
                child.stop()

    def _start(self, name: str, spec: ChildSpec) -> Child:
        child = self.children[name] = Child(spec)
        child.start()
        return child


@contextmanager
def running_machines(
    folder: Path, services: EmbeddedServices, node_count: int, devices_a_node: int
) -> Iterator[Machines]:
    """The portal's processes, without nodes; all of it stopped at the end."""
    for name in ("logs", "run", "mail", "media"):
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    machines = Machines(folder, services, node_count, devices_a_node)
    try:
        machines.start_portal()
        yield machines
    finally:
        machines.stop()
