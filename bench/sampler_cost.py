"""What the sampler costs on a node of eight devices, beside one pass of nvitop and of gpustat on the same simulator.

The library is the simulator's: a call costs microseconds there, so that what is measured is our side of it. CPU is
process time; the percentage is of one core at one look every ten seconds.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.results_writer import report
from simulator.commands import environment
from simulator.node import SimNode

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 60
PASSES = 5
SAMPLE_SECONDS = 10
SAMPLER = """
import json, resource, sys, time
from pathlib import Path
from agent import nvml
from agent.journal import Journal
from agent.options import parse
from agent.portal_client import PortalClient
from agent.sampler import Sampler

folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
(folder / "token").write_text("none")
options = parse(["--portal", "http://127.0.0.1:9", "--token-file", str(folder / "token"), "--sandbox", str(folder)])
sampler = Sampler(options, Journal(options.state), PortalClient(options.portal, options.token_file))
sampler.look()
begun, calls = time.process_time(), nvml.cost().calls
for _ in range(rounds):
    sampler.look()
used, calls = time.process_time() - begun, nvml.cost().calls - calls
print(json.dumps({
    "cpu_seconds": used / rounds,
    "calls": calls / rounds,
    "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
"""


def cpu_of(command: list[str], variables: dict[str, str]) -> float:
    """CPU seconds of one run of a program, its start included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=variables, check=True, capture_output=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Measure and report."""
    with tempfile.TemporaryDirectory(prefix="bitgoeul-bench-") as name:
        folder = Path(name)
        SimNode.create(folder / "node.state", "h100_sxm_8").close()
        variables = {**os.environ, **environment(folder / "node.state"), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", SAMPLER, str(folder), str(ROUNDS)]
        said = json.loads(subprocess.run(command, env=variables, check=True, capture_output=True, cwd=ROOT).stdout)
        tools = Path(sys.executable).parent
        others = {
            "nvitop": min(cpu_of([str(tools / "nvitop"), "--once", "--ascii"], variables) for _ in range(PASSES)),
            "gpustat": min(cpu_of([str(tools / "gpustat"), "--json"], variables) for _ in range(PASSES)),
        }
    look = said["cpu_seconds"]
    report("sampler_cost.cpu", round(100 * look / SAMPLE_SECONDS, 3), "% of a core", devices=8, every_s=SAMPLE_SECONDS)
    report("sampler_cost.rss", round(said["rss_mib"], 1), "MiB", devices=8)
    report("sampler_cost.calls", round(said["calls"] / 8, 1), "NVML calls a device and look")
    for name, seconds in others.items():
        ratio = round(seconds / look, 1)
        detail = {"cpu_ms": round(1000 * seconds), "look_ms": round(1000 * look, 1)}
        report(f"sampler_cost.{name}", ratio, "times one look", **detail)
    return 0


if __name__ == "__main__":
    sys.exit(main())
