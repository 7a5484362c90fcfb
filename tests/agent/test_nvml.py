"""agent/nvml over the real pynvml and a simulated node. Each scenario is its own process: a library is global."""

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulator.nodes import ROOT, SimulatedNode, start_node

PRELUDE = "from agent import nvml, device_checks\nuuids, faults = nvml.enumerate_uuids()\n"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[SimulatedNode]:
    """Four H100s, served."""
    served = start_node(tmp_path, count=4)
    yield served
    served.stop()


def act(node: SimulatedNode, code: str, prelude: str = PRELUDE, **variables: str) -> str:
    """Run agent code in a fresh process under the node's environment, without LD_LIBRARY_PATH; its output."""
    environment = {**node.env, **variables}
    environment.pop("LD_LIBRARY_PATH")
    script = f"STATE = {str(node.state)!r}\nfrom simulator.node import SimNode\n{prelude}{textwrap.dedent(code)}"
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_pynvml_is_imported_nowhere_else() -> None:
    folders = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")]
    sources = [file for folder in folders if folder.name not in {"tests", "var"} for file in folder.rglob("*.py")]
    users = [file for file in sources if re.search(r"^\s*(import|from) pynvml", file.read_text(), re.MULTILINE)]
    assert sorted(file.relative_to(ROOT).as_posix() for file in users) == [
        f"agent/nvml/{name}.py" for name in ("devices", "events", "library", "mig", "processes", "sampling", "settings")
    ]


def test_the_inventory_knows_every_device(node: SimulatedNode) -> None:
    act(
        node,
        """
        found = nvml.inventory()
        assert found.node.device_count == 4 and found.node.driver_version == "580.159.04" and not found.faults
        assert [d.uuid for d in found.devices] == SimNode.open(STATE).uuids
        d = found.devices[1]
        assert (d.index, d.minor, d.name, d.memory_mib) == (1, 1, "NVIDIA H100 80GB HBM3", 81559)
        assert (d.compute_capability, d.architecture, d.mig_capable, d.mig_enabled) == ("9.0", "Hopper", True, False)
        assert (d.power_limit_watts, d.persistence_mode, d.compute_mode, d.nvlink_count) == (700.0, True, "default", 18)
        assert d.gpm_supported and d.pci_bus_id == "00000000:43:00.0" and d.serial.isdecimal()
        """,
    )


def test_a_sample_follows_the_job(node: SimulatedNode) -> None:
    job = node.run(["sleep", "60"], gpus=[0], memory_mib=60_000)
    act(
        node,
        f"""
        first = nvml.sample_all()
        assert not first.faults and first.samples[0].sm_active_percent is None
        busy, idle = nvml.sample_all().samples[:2]
        assert busy.utilisation_percent >= 95 and 70 <= busy.sm_active_percent <= 90
        assert 35 <= busy.tensor_active_percent <= 55 and 600 <= busy.power_watts <= 700
        assert busy.memory_used_mib == 60000 and busy.processes[0].pid == {node.job_pid(job)}
        assert busy.processes[0].memory_mib == 60000 and busy.nvml_cost_us > 0 and busy.energy_mj >= 0
        assert (idle.utilisation_percent, idle.sm_active_percent, idle.processes) == (0, 0.0, ())
        assert nvml.processes_on(uuids)[uuids[0]][0].pid == {node.job_pid(job)}
        """,
    )


def test_what_a_device_does_not_measure_is_none(tmp_path: Path) -> None:
    node = start_node(tmp_path, "t4_4")
    try:
        act(
            node,
            """
            for _ in range(2):
                s = nvml.sample(uuids[0])
                assert s.sm_active_percent is None and s.tensor_active_percent is None and s.utilisation_percent == 0
            r = nvml.reading(uuids[0])
            assert r.remap_pending is None and r.mig_enabled is None and r.fabric_state is None and r.nvlinks_down == ()
            assert r.retired_pending is False
            assert all(c.passed for c in nvml.check_ready(uuids))
            """,
        )
    finally:
        node.stop()


def test_an_old_driver_is_asked_by_the_old_names(node: SimulatedNode) -> None:
    gone = (
        "TemperatureV",
        "CurrentClocksEventReasons",
        "MemoryInfo_v2",
        "ComputeRunningProcesses_v3",
        "GpuFabricInfoV",
    )
    for name in gone:
        node.fault("missing_symbol", call=f"nvmlDeviceGet{name}")
    act(
        node,
        """
        s = nvml.sample(uuids[0])
        assert s.temperature_c == 31 and s.clock_event_reasons == 1 and s.processes == ()
        assert nvml.reading(uuids[0]).fabric_state is None
        """,
    )


def test_a_lost_device_hides_no_other(node: SimulatedNode) -> None:
    act(
        node,
        """
        SimNode.open(STATE).inject("gpu_lost", gpu=1)
        round = nvml.sample_all()
        assert len(round.samples) == 3 and [(f.index, f.code) for f in round.faults] == [(1, "GPU_IS_LOST")]
        held = nvml.sample_all(uuids)
        assert len(held.samples) == 3 and [(f.uuid, f.code) for f in held.faults] == [(uuids[1], "GPU_IS_LOST")]
        h = nvml.health(uuids[1])
        assert (h.level, h.reasons) == ("fail", ("gpu_is_lost",))
        assert nvml.health(uuids[0]).level == "ok"
        verdicts = nvml.check_ready(uuids)
        assert [v.passed for v in verdicts] == [True, False, True, True] and verdicts[1].checks[0].code == "answers"
        """,
    )


@pytest.mark.parametrize(
    ("fault", "level", "reason"),
    [
        ('"ecc_dbe"', "drain", "ecc_dbe"),
        ('"remap_pending"', "warn", "remap_pending"),
        ('"remap_failed"', "fail", "remap_failed"),
        ('"thermal"', "warn", "hardware_slowdown"),
        ('"xid", code=95', "drain", "recovery_gpu_reset"),
        ('"xid", code=74', "drain", "nvlink_down"),
    ],
)
def test_health_names_the_reason(node: SimulatedNode, fault: str, level: str, reason: str) -> None:
    act(
        node,
        f"""
        assert nvml.health(uuids[0]).reasons == ()
        SimNode.open(STATE).inject({fault}, gpu=0)
        found = nvml.health(uuids[0])
        assert found.level == {level!r} and {reason!r} in found.reasons, found
        assert not nvml.check_ready(uuids[:1])[0].passed
        """,
    )


def test_a_device_is_ready_only_when_empty(node: SimulatedNode) -> None:
    act(
        node,
        """
        assert all(c.passed for c in nvml.check_ready(uuids)) and all(c.passed for c in nvml.check_empty(uuids))
        codes = {c.code for c in nvml.check_ready(uuids)[0].checks}
        assert {"no_processes", "memory_empty", "ecc_enabled", "temperature", "pcie_width", "persistence_mode"} <= codes
        """,
    )
    node.run(["sleep", "60"], gpus=[0], memory_mib=2_000)
    node.fault("zombie_mem", gpu=1, memory_mib=3_000)
    act(
        node,
        """
        failed = [{c.code: c.observed for c in v.checks if not c.passed} for v in nvml.check_empty(uuids)]
        assert set(failed[0]) == {"no_processes", "memory_empty"} and failed[1] == {"memory_empty": "3000 MiB"}
        assert failed[2] == failed[3] == {}
        """,
    )


def test_damage_since_the_baseline_is_found(node: SimulatedNode) -> None:
    act(
        node,
        """
        before = {u: nvml.reading(u) for u in uuids}
        brain = SimNode.open(STATE)
        brain.inject("ecc_dbe", gpu=2)
        brain.clear()
        assert nvml.check_empty(uuids)[2].passed
        failed = [c for c in nvml.check_empty(uuids, baseline=before)[2].checks if not c.passed]
        assert [(c.code, c.observed, c.expected) for c in failed] == [("ecc_dbe_aggregate_unchanged", "1", "0")]
        """,
    )


def test_settings_are_changed_by_root_alone(node: SimulatedNode) -> None:
    act(
        node,
        """
        nvml.set_persistence_mode(uuids[0], False); nvml.set_compute_mode(uuids[0], "exclusive_process")
        nvml.set_power_limit(uuids[0], 450)
        d = nvml.device_facts(uuids[0])
        assert (d.persistence_mode, d.compute_mode, d.power_limit_watts) == (False, "exclusive_process", 450.0)
        nvml.set_power_limit(uuids[0], None)
        assert nvml.device_facts(uuids[0]).power_limit_watts == 700.0
        """,
    )
    refused = "try: nvml.set_power_limit(uuids[0], 500)\nexcept nvml.NvmlError as e: print(e.code)"
    assert act(node, refused, NVML_SIM_ROOT="0") == "NO_PERMISSION"


def test_a_forked_child_starts_for_itself(node: SimulatedNode) -> None:
    act(
        node,
        """
        import os
        nvml.sample_all()
        pid = os.fork()
        if pid == 0:
            os._exit(0 if len(nvml.sample_all(uuids).samples) == 4 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert len(nvml.sample_all(uuids).samples) == 4
        nvml.restart()
        assert len(nvml.sample_all(uuids).samples) == 4
        """,
    )


def test_errors_carry_nvmls_name(node: SimulatedNode) -> None:
    code = "from agent import nvml\ntry: nvml.node_facts()\nexcept nvml.NvmlError as e: print(e.code)"
    assert act(node, code, "", NVML_SIM_STATE="/nonexistent") == "DRIVER_NOT_LOADED"
    assert act(node, code, "", NVML_LIBRARY="/nonexistent/lib.so") == "LIBRARY_NOT_FOUND"
    unknown = "try: nvml.sample('GPU-nobody')\nexcept nvml.NvmlError as e: print(e.code)"
    assert act(node, unknown) == "NOT_FOUND"
    node.fault("lib_rm_mismatch")
    assert act(node, code, "") == "LIB_RM_VERSION_MISMATCH"


def test_a_hung_call_is_the_failure_of_its_device_alone(node: SimulatedNode) -> None:
    act(
        node,
        """
        from tests.simulator.nodes import wait_until
        brain = SimNode.open(STATE)
        brain.inject("nvml_hang", gpu=0, call="nvmlDeviceGetTemperatureV", seconds=300)
        found = nvml.sample_all(uuids)
        assert [s.uuid for s in found.samples] == list(uuids[1:])
        assert [(f.uuid, f.code) for f in found.faults] == [(uuids[0], "STALLED")]
        silent, = nvml.silences()
        assert (silent.uuid, silent.call) == (uuids[0], "nvmlDeviceGetTemperatureV") and silent.seconds > 2
        levels = {h.uuid: (h.level, h.reasons) for h in nvml.healths(uuids)}
        assert levels.pop(uuids[0]) == ("fail", ("stalled",)) and set(levels.values()) == {("ok", ())}
        first, *others = nvml.check_ready(uuids)
        assert [(c.code, c.observed) for c in first.checks] == [("answers", "STALLED")]
        assert not first.passed and all(c.passed for c in others)
        assert len(nvml.inventory().devices) == 3
        brain.clear()
        wait_until(lambda: not nvml.silences())
        assert nvml.sample(uuids[0]).uuid == uuids[0]
        """,
    )


def test_a_driver_that_hangs_at_its_start_is_an_error_and_no_hang(node: SimulatedNode) -> None:
    node.fault("nvml_hang", call="nvmlInit*", seconds=300)
    code = "try: nvml.node_facts()\nexcept nvml.NvmlError as e: print(e.code, nvml.silences()[0].call)"
    assert act(node, code, prelude="from agent import nvml\n") == "STALLED nvmlInit"


def test_xids_are_watched_past_the_loss_of_a_device(node: SimulatedNode) -> None:
    act(
        node,
        """
        import queue
        from agent.xid_watcher import XidWatcher
        seen = queue.Queue()
        watcher = XidWatcher(uuids, seen.put)
        watcher.start()
        assert watcher.watching.wait(20)
        brain = SimNode.open(STATE)
        brain.inject("xid", gpu=2, code=79)
        event = seen.get(timeout=20)
        assert (event.uuid, event.xid) == (uuids[2], 79)
        got = None
        for _ in range(40):  # XIDs that fall between two event sets are lost, as on a driver
            brain.inject("xid", gpu=1, code=31)
            try:
                got = seen.get(timeout=0.5)
                break
            except queue.Empty:
                continue
        assert (got.uuid, got.xid) == (uuids[1], 31)
        watcher.stop()
        """,
    )
