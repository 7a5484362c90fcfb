"""MIG through unmodified pynvml: the mode, GPU and compute instances, and the devices that come of them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.node import DeviceBusy, OutOfMemory
from tests.simulator.nodes import ROOT, SimulatedNode, start_node
from tests.simulator.test_shim import PRELUDE, ask, raised

ON = PRELUDE + "p.nvmlDeviceSetMigMode(h, 1)\n"
CUT = """
def cut(kind, compute):
    g = p.nvmlDeviceCreateGpuInstance(h, p.nvmlDeviceGetGpuInstanceProfileInfo(h, kind).id)
    kind = p.nvmlGpuInstanceGetComputeInstanceProfileInfo(g, compute, 0)
    return g, p.nvmlGpuInstanceCreateComputeInstance(g, kind.id)
"""


@pytest.fixture
def a100(tmp_path: Path) -> Iterator[SimulatedNode]:
    """One A100, served."""
    served = start_node(tmp_path, "a100_sxm_8", count=1)
    yield served
    served.stop()


def test_a_device_is_cut_used_and_made_whole_again(a100: SimulatedNode) -> None:
    ask(
        a100,
        CUT
        + """
assert p.nvmlDeviceGetMigMode(h) == [1, 1] and p.nvmlDeviceGetMaxMigDeviceCount(h) == 7
small, big = cut(0, 0), cut(2, 2)
info = p.nvmlGpuInstanceGetInfo(big[0])
assert (info.profileId, info.placement.start, info.placement.size) == (9, 4, 4)
m = p.nvmlDeviceGetMigDeviceHandleByIndex(h, 1)
assert p.nvmlDeviceIsMigDeviceHandle(m).value == 1 and p.nvmlDeviceIsMigDeviceHandle(h).value == 0
assert p.nvmlDeviceGetName(m) == "NVIDIA A100-SXM4-80GB MIG 3g.40gb"
u = p.nvmlDeviceGetUUID(m)
assert u.startswith("MIG-") and p.nvmlDeviceGetUUID(p.nvmlDeviceGetHandleByUUID(u)) == u
assert u != p.nvmlDeviceGetUUID(p.nvmlDeviceGetMigDeviceHandleByIndex(h, 0))
assert p.nvmlDeviceGetGpuInstanceId(m) == info.id == 2 and p.nvmlDeviceGetComputeInstanceId(m) == 0
assert p.nvmlDeviceGetIndex(p.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(m)) == 0
a = p.nvmlDeviceGetAttributes_v2(m)
assert (a.multiprocessorCount, a.gpuInstanceSliceCount, a.memorySizeMB) == (42, 3, 40448)
assert p.nvmlDeviceGetMemoryInfo(m).total >> 20 == 40448
c = p.nvmlComputeInstanceGetInfo(big[1])
assert (c.id, c.profileId, c.placement.size) == (0, 2, 3)
many, count = (p.c_nvmlGpuInstance_t * 8)(), p.c_uint()
p.nvmlDeviceGetGpuInstances(h, 19, many, p.byref(count)); assert count.value == 1
assert p.nvmlGpuInstanceGetInfo(p.nvmlDeviceGetGpuInstanceById(h, 2)).profileId == 9
p.nvmlGpuInstanceGetComputeInstances(big[0], 2, many, p.byref(count)); assert count.value == 1
try: p.nvmlGpuInstanceDestroy(big[0]); raise SystemExit("destroyed under its compute instance")
except p.NVMLError_InUse: pass
try: p.nvmlDeviceSetMigMode(h, 0); raise SystemExit("switched off under its instances")
except p.NVMLError_InUse: pass
for g, c in (small, big): p.nvmlComputeInstanceDestroy(c); p.nvmlGpuInstanceDestroy(g)
for gone in (lambda: p.nvmlDeviceGetUUID(m), lambda: p.nvmlGpuInstanceGetInfo(big[0])):
    try: gone(); raise SystemExit("a destroyed instance answers")
    except p.NVMLError_NotFound: pass
p.nvmlDeviceSetMigMode(h, 0)
assert p.nvmlDeviceGetMigMode(h) == [0, 0]
""",
        ON,
    )


@pytest.mark.parametrize("profile", ["a100_sxm_8", "h100_sxm_8", "h200_sxm_8", "b200_8"])
def test_every_kind_fits_as_often_as_it_says_and_no_more(tmp_path: Path, profile: str) -> None:
    node = start_node(tmp_path, profile, count=1)
    try:
        ask(
            node,
            """
kinds = {}
for kind in range(p.NVML_GPU_INSTANCE_PROFILE_COUNT):
    try: kinds[kind] = p.nvmlDeviceGetGpuInstanceProfileInfo(h, kind)
    except p.NVMLError_NotSupported: continue
    assert p.nvmlDeviceGetGpuInstanceProfileInfo(h, kind, 1).id == kinds[kind].id
assert [k.sliceCount for k in kinds.values()] == [1, 2, 3, 4, 7, 1, 1]
for k in kinds.values():
    assert p.nvmlDeviceGetGpuInstanceRemainingCapacity(h, k.id) == k.instanceCount
    places, count = (p.c_nvmlGpuInstancePlacement_t * 8)(), p.c_uint(8)
    p.nvmlDeviceGetGpuInstancePossiblePlacements(h, k.id, places, p.byref(count))
    assert count.value >= k.instanceCount and all(x.start + x.size <= 8 for x in places[:count.value])
    made = [p.nvmlDeviceCreateGpuInstance(h, k.id) for _ in range(k.instanceCount)]
    assert p.nvmlDeviceGetGpuInstanceRemainingCapacity(h, k.id) == 0
    assert len({p.nvmlGpuInstanceGetInfo(g).id for g in made}) == len(made)
    try: p.nvmlDeviceCreateGpuInstance(h, k.id); raise SystemExit("one too many")
    except p.NVMLError_InsufficientResources: pass
    for g in made: p.nvmlGpuInstanceDestroy(g)
place = p.c_nvmlGpuInstancePlacement_t(4, 4)
g = p.nvmlDeviceCreateGpuInstanceWithPlacement(h, kinds[2].id, p.byref(place))
assert p.nvmlGpuInstanceGetInfo(g).placement.start == 4
try: p.nvmlDeviceCreateGpuInstance(h, kinds[4].id); raise SystemExit("7g beside 3g")
except p.NVMLError_InsufficientResources: pass
""",
            ON,
        )
    finally:
        node.stop()


def test_mig_needs_root(a100: SimulatedNode) -> None:
    ask(a100, CUT + "cut(0, 0)", ON)
    for code in (
        "p.nvmlDeviceSetMigMode(h, 0)",
        "p.nvmlDeviceCreateGpuInstance(h, 19)",
        "p.nvmlDeviceCreateGpuInstanceWithPlacement(h, 19, p.byref(p.c_nvmlGpuInstancePlacement_t(1, 1)))",
        "p.nvmlDeviceGetGpuInstanceById(h, 7)",
        "p.nvmlDeviceGetGpuInstances(h, 19, (p.c_nvmlGpuInstance_t * 8)(), p.byref(p.c_uint()))",
        "p.nvmlDeviceGetGpuInstancePossiblePlacements(h, 19, None, p.byref(p.c_uint()))",
        "p.nvmlDeviceGetGpuInstanceRemainingCapacity(h, 19)",
        "p.nvmlComputeInstanceDestroy(p.nvmlDeviceGetMigDeviceHandleByIndex(h, 0))",
    ):
        assert raised(a100, code, NVML_SIM_ROOT="0") == "NVMLError_NoPermission", code


def test_where_instances_may_go_is_told_before_mig_is_on(a100: SimulatedNode) -> None:
    code = "c = p.c_uint(); p.nvmlDeviceGetGpuInstancePossiblePlacements(h, 19, None, p.byref(c)); print(c.value)"
    assert ask(a100, code) == "7"
    assert raised(a100, "p.nvmlDeviceGetGpuInstanceRemainingCapacity(h, 19)") == "NVMLError_NotSupported"


def test_run_puts_a_command_into_an_instance(a100: SimulatedNode) -> None:
    ask(a100, CUT + "cut(0, 0)", ON)
    show = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"
    run = [sys.executable, "-m", "simulator", "run", "--gpu", "0", "--mem", "500", "--state", str(a100.state)]

    def said_by(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*run, *words], capture_output=True, text=True, cwd=ROOT, check=False)

    said = said_by("--instance", "7:0", "--", sys.executable, "-c", show)
    assert said.returncode == 0 and said.stdout.strip() == f"MIG-{a100.brain.state.view.devices[0].uuid.decode()}/7/0"
    for wrong, reason in (("7", "GPU:COMPUTE"), ("3:0", "no instance")):
        refused = said_by("--instance", wrong, "--", "true")
        assert refused.returncode == 2 and reason in refused.stderr
    refused = said_by("--", "true")
    assert refused.returncode == 2 and "name an instance" in refused.stderr


def test_a_mode_is_not_changed_under_a_process(a100: SimulatedNode) -> None:
    a100.brain.bind(os.getpid(), [0], 100)
    assert raised(a100, "p.nvmlDeviceSetMigMode(h, 1)") == "NVMLError_InUse"


def test_a_job_runs_in_its_instance(a100: SimulatedNode) -> None:
    ask(a100, CUT + "cut(0, 0); cut(0, 0)", ON)
    with pytest.raises(DeviceBusy, match="MIG"):
        a100.brain.bind(os.getpid(), [0], 100)
    with pytest.raises(OutOfMemory):
        a100.brain.bind(os.getpid(), [0], 20_000, mig=(7, 0))
    with pytest.raises(ValueError, match="no instance"):
        a100.brain.bind(os.getpid(), [0], 100, mig=(3, 0))
    a100.brain.bind(os.getpid(), [0], 9_000, mig=(7, 0))
    ask(
        a100,
        f"""
        m, other = (p.nvmlDeviceGetMigDeviceHandleByIndex(h, index) for index in (0, 1))
        assert p.nvmlDeviceGetMemoryInfo(m).used >> 20 == 9000
        assert [each.pid for each in p.nvmlDeviceGetComputeRunningProcesses(m)] == [{os.getpid()}]
        assert p.nvmlDeviceGetComputeRunningProcesses(other) == p.nvmlDeviceGetGraphicsRunningProcesses(m) == []
        (one,) = p.nvmlDeviceGetComputeRunningProcesses(h)
        assert (one.pid, one.gpuInstanceId, one.computeInstanceId) == ({os.getpid()}, 7, 0)
        """,
    )
    assert raised(a100, "p.nvmlDeviceGetUtilizationRates(h)") == "NVMLError_NotSupported"
    destroy = "p.nvmlComputeInstanceDestroy(p.nvmlGpuInstanceGetComputeInstanceById("
    assert raised(a100, destroy + "p.nvmlDeviceGetGpuInstanceById(h, 7), 0))") == "NVMLError_InUse"


def test_gpm_measures_an_instance_by_itself(node: SimulatedNode) -> None:
    ask(node, CUT + "cut(0, 0); cut(0, 0)", ON)
    node.brain.bind(os.getpid(), [0], 1_000, mig=(7, 0))
    ask(
        node,
        """
        def sm(gi):
            s = [p.nvmlGpmSampleAlloc() for _ in range(2)]
            for each in s: p.nvmlGpmMigSampleGet(h, gi, each)
            g = p.c_nvmlGpmMetricsGet_t()
            g.version, g.numMetrics, g.sample1, g.sample2, g.metrics[0].metricId = 1, 1, s[0], s[1], 2
            p.nvmlGpmMetricsGet(g)
            return g.metrics[0].value
        assert sm(7) > 50 and sm(8) == 0
        """,
    )


def test_a_reset_takes_instances_away_and_leaves_the_mode(a100: SimulatedNode) -> None:
    ask(a100, CUT + "cut(0, 0)", ON)
    a100.brain.reset(0)
    assert (
        ask(a100, "print(p.nvmlDeviceGetMigMode(h), p.nvmlDeviceGetGpuInstanceRemainingCapacity(h, 19))") == "[1, 1] 7"
    )
