"""Monitors that know nothing of the simulator run on it unmodified and show what was set (PyPI: nvitop, gpustat)."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pynvml

from tests.simulator.nodes import SimulatedNode, wait_until
from tests.simulator.test_shim import ask, raised


def run(node: SimulatedNode, *words: str) -> str:
    """Standard output of a program under the node's environment; nothing may be said on standard error."""
    path = Path(sys.executable).parent / words[0]
    assert path.exists(), f"{words[0]} is not installed: requirements-dev.txt has it"
    done = subprocess.run(
        [str(path), *words[1:]], env=node.env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "FunctionNotFound" not in done.stderr, done.stderr
    return done.stdout


def busy_job(node: SimulatedNode) -> int:
    """A pretraining on device 1 that has warmed up; its PID."""
    job = node.run(["sleep", "120"], gpus=[1], memory_mib=30_000)
    wait_until(lambda: node.brain.state.view.devices[1].util_gpu > 50)
    return node.job_pid(job)


def test_gpustat_shows_what_was_set(node: SimulatedNode) -> None:
    pid = busy_job(node)
    shown = json.loads(run(node, "gpustat", "--json"))
    assert [gpu["index"] for gpu in shown["gpus"]] == [0, 1, 2, 3]
    idle, busy = shown["gpus"][:2]
    assert (idle["memory.used"], idle["utilization.gpu"], idle["processes"]) == (0, 0, [])
    assert busy["memory.used"] == 30_000 and busy["utilization.gpu"] > 50 and busy["power.draw"] > 300
    assert [(entry["pid"], entry["gpu_memory_usage"]) for entry in busy["processes"]] == [(pid, 30_000)]
    assert busy["uuid"] == node.brain.state.view.devices[1].uuid.decode()


def test_nvitop_shows_what_was_set(node: SimulatedNode) -> None:
    pid = busy_job(node)
    shown = run(node, "nvitop", "--once", "--ascii")
    assert "580.159.04" in shown and shown.count("H100 80GB HBM3") == 4
    assert re.search(rf"^\| +1 +{pid} C .*29\.30GiB .* sleep 120", shown, re.MULTILINE), shown
    assert "29.30GiB / 79.65GiB" in shown


def test_engines_bus_and_what_a_server_board_lacks(node: SimulatedNode) -> None:
    busy_job(node)
    ask(
        node,
        """
        one = p.nvmlDeviceGetHandleByIndex(1)
        for engine in ("Encoder", "Decoder"):
            assert getattr(p, f"nvmlDeviceGet{engine}Utilization")(one)[0] == 0
        assert p.nvmlDeviceGetPcieThroughput(one, p.NVML_PCIE_UTIL_RX_BYTES) > 0
        assert p.nvmlDeviceGetPcieThroughput(h, p.NVML_PCIE_UTIL_TX_BYTES) == 0
        assert p.nvmlDeviceGetNumFans(h) == 0
        assert p.nvmlDeviceGetViolationStatus(h, p.NVML_PERF_POLICY_THERMAL).violationTime == 0
        """,
    )
    for call in (
        "p.nvmlDeviceGetFanSpeed_v2(h, 0)",
        "p.nvmlDeviceGetCurrentDriverModel(h)",
        "p.nvmlDeviceGetConfComputeMemSizeInfo(h)",
        "p.nvmlDeviceGetGpuInstanceId(h)",
        "p.nvmlDeviceGetViolationStatus(h, 5)",
    ):
        assert raised(node, call) == "NVMLError_NotSupported", call
    assert raised(node, "p.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(h)") == "NVMLError_InvalidArgument"


def test_every_function_that_a_monitor_asks_for_is_there(node: SimulatedNode, tmp_path: Path) -> None:
    """Names that nvitop and gpustat use, as pynvml resolves them."""
    source = Path(pynvml.__file__).read_text()
    used: set[str] = set()
    for package in ("nvitop", "gpustat"):
        folder = Path(__import__(package).__file__ or "").parent
        for path in folder.rglob("*.py"):
            used |= set(re.findall(r"\bnvml(?:Device|System|Gpm|Event)[A-Za-z0-9_]+", path.read_text()))
    symbols = set(re.findall(r'_nvmlGetFunctionPointer\("(\w+)"\)', source))
    wanted = {name for name in symbols if name in used or re.sub(r"_v\d$", "", name) in used}
    assert len(wanted) > 40
    library = Path(node.env["NVML_LIBRARY"]).read_bytes()
    assert not sorted(name for name in wanted if name.encode() not in library)
