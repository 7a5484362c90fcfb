"""The library through unmodified pynvml, in processes of their own and across processes."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from simulator.node import SimNode
from tests.simulator.nodes import ROOT, SimulatedNode, start_node, wait_until

PRELUDE = "import pynvml as p\np.nvmlInit()\nh = p.nvmlDeviceGetHandleByIndex(0)\n"


def ask(node: SimulatedNode, code: str, prelude: str = PRELUDE, **variables: str) -> str:
    """Run pynvml code in a fresh process under the node's environment; its standard output."""
    script = prelude + textwrap.dedent(code)
    result = subprocess.run(
        [sys.executable, "-c", script], env={**node.env, **variables}, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def raised(node: SimulatedNode, code: str, prelude: str = PRELUDE, **variables: str) -> str:
    """The name of the NVML error that the code raises."""
    lines = textwrap.indent((prelude + textwrap.dedent(code)), "    ")
    script = f"import pynvml as p\ntry:\n{lines}\nexcept p.NVMLError as e:\n    print(type(e).__name__)\n"
    return ask(node, script, prelude="", **variables)


def test_the_whole_sampler_set_answers(node: SimulatedNode) -> None:
    ask(
        node,
        """
        assert p.nvmlSystemGetDriverVersion() == "580.159.04" and p.nvmlDeviceGetCount() == 4
        u = p.nvmlDeviceGetUUID(h)
        assert p.nvmlDeviceGetIndex(p.nvmlDeviceGetHandleByUUID(u)) == 0
        assert p.nvmlDeviceGetIndex(p.nvmlDeviceGetHandleByPciBusId(p.nvmlDeviceGetPciInfo(h).busId)) == 0
        assert p.nvmlDeviceGetName(h) == "NVIDIA H100 80GB HBM3" and p.nvmlDeviceGetSerial(h).isdecimal()
        assert p.nvmlDeviceGetMinorNumber(h) == 0
        one, two = p.nvmlDeviceGetMemoryInfo(h), p.nvmlDeviceGetMemoryInfo(h, p.nvmlMemory_v2)
        assert one.total == two.total == 81559 << 20 and one.used == two.reserved + two.used and two.used == 0
        assert p.nvmlDeviceGetUtilizationRates(h).gpu == 0
        assert p.nvmlDeviceGetPowerUsage(h) == 72000 and p.nvmlDeviceGetTotalEnergyConsumption(h) >= 0
        assert p.nvmlDeviceGetTemperatureV(h, 0) == p.nvmlDeviceGetTemperature(h, 0) == 31
        assert p.nvmlDeviceGetClockInfo(h, p.NVML_CLOCK_SM) == 345 and p.nvmlDeviceGetMaxClockInfo(h, 1) == 1980
        assert p.nvmlDeviceGetCurrentClocksEventReasons(h) == 1 == p.nvmlDeviceGetCurrentClocksThrottleReasons(h)
        assert p.nvmlDeviceGetPerformanceState(h) == 0 and p.nvmlDeviceGetEccMode(h) == [1, 1]
        assert p.nvmlDeviceGetTotalEccErrors(h, 1, 0) == 0 and p.nvmlDeviceGetMemoryErrorCounter(h, 1, 0, 2) == 0
        assert p.nvmlDeviceGetRemappedRows(h) == (0, 0, 0, 0)
        v = p.nvmlDeviceGetFieldValues(h, [185, 82, 83, 142, 143, 144, 145, (161, 0), 162, 230, 9999])
        assert [x.nvmlReturn for x in v] == [0] * 10 + [3] and v[0].value.uiVal == 72000
        assert p.nvmlDeviceGetComputeRunningProcesses(h) == p.nvmlDeviceGetGraphicsRunningProcesses(h) == []
        assert p.nvmlDeviceGetMPSComputeRunningProcesses(h) == []
        assert p.nvmlDeviceGetPersistenceMode(h) == 1 and p.nvmlDeviceGetComputeMode(h) == 0
        assert p.nvmlDeviceGetPowerManagementLimit(h) == p.nvmlDeviceGetPowerManagementDefaultLimit(h) == 700000
        assert p.nvmlDeviceGetPowerManagementLimitConstraints(h) == [200000, 700000]
        assert p.nvmlDeviceGetCurrPcieLinkGeneration(h) == p.nvmlDeviceGetMaxPcieLinkGeneration(h) == 5
        assert p.nvmlDeviceGetCurrPcieLinkWidth(h) == p.nvmlDeviceGetMaxPcieLinkWidth(h) == 16
        assert [p.nvmlDeviceGetNvLinkState(h, l) for l in range(18)] == [1] * 18
        f = p.c_nvmlGpuFabricInfo_v3_t()
        p.nvmlDeviceGetGpuFabricInfoV(h, p.byref(f)); assert f.state == 3 and f.healthSummary == 1
        assert p.nvmlDeviceGetMigMode(h) == [0, 0] and p.nvmlDeviceGetMaxMigDeviceCount(h) == 0
        types = p.nvmlDeviceGetFieldValues(h, [76, 82, 83, 94, 142, 145, 185, 191, 230])  # as an H200 gives them
        assert [x.valueType for x in types] == [3, 1, 3, 1, 3, 3, 1, 1, 1]
        assert p.nvmlDeviceGetArchitecture(h) == p.NVML_DEVICE_ARCH_HOPPER
        assert p.nvmlDeviceGetCudaComputeCapability(h) == (9, 0)
        assert p.nvmlErrorString(15) == "GPU is lost"
        """,
    )


def test_pre_hopper_devices_lack_what_they_lack(tmp_path: Path) -> None:
    node = start_node(tmp_path, "t4_4")
    try:
        for code in ("p.nvmlDeviceGetRemappedRows(h)", "p.nvmlDeviceGetNvLinkState(h, 0)", "p.nvmlDeviceGetMigMode(h)"):
            assert raised(node, code) == "NVMLError_NotSupported"
        assert (
            ask(node, "print(p.nvmlGpmQueryDeviceSupport(h).isSupportedDevice, p.nvmlDeviceGetRetiredPages(h, 0))")
            == "0 []"
        )
    finally:
        node.stop()


def test_without_a_state_file_there_is_no_driver(node: SimulatedNode) -> None:
    assert raised(node, "", NVML_SIM_STATE="") == "NVMLError_DriverNotLoaded"
    assert raised(node, "", NVML_SIM_STATE="/nonexistent") == "NVMLError_DriverNotLoaded"


def test_a_job_shows_up_on_its_devices_and_is_gone_after_kill_9(node: SimulatedNode) -> None:
    job = node.run(["sleep", "60"], gpus=[0, 1], memory_mib=60_000)
    pid = node.job_pid(job)
    shown = "print([(x.pid, x.usedGpuMemory >> 20) for x in p.nvmlDeviceGetComputeRunningProcesses(h)])"
    used = "print(p.nvmlDeviceGetMemoryInfo(h, p.nvmlMemory_v2).used >> 20)"
    assert ask(node, shown) == f"[({pid}, 60000)]"
    assert ask(node, used) == "60000"
    os.kill(pid, signal.SIGKILL)
    assert job.wait(timeout=10) == 128 + signal.SIGKILL
    assert ask(node, shown) == "[]"
    assert ask(node, used) == "0"
    assert ask(node, "print(p.nvmlDeviceGetUtilizationRates(h).gpu)") == "0"


def test_a_job_outlives_its_wrapper_and_is_still_seen(node: SimulatedNode) -> None:
    job = node.run(["sleep", "60"], gpus=[0], memory_mib=1_000)
    pid = node.job_pid(job)
    wait_until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")  # it has begun: its wrapper may go
    job.kill()
    job.wait()
    try:
        assert str(pid) in ask(node, "print([x.pid for x in p.nvmlDeviceGetComputeRunningProcesses(h)])")
    finally:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not node.brain.processes())


def test_the_job_sees_itself_and_its_signals_and_status_pass_through(node: SimulatedNode) -> None:
    code = "import os, pynvml as p; p.nvmlInit(); h = p.nvmlDeviceGetHandleByIndex(2); "
    code += "raise SystemExit(7 if [x.pid for x in p.nvmlDeviceGetComputeRunningProcesses(h)] == [os.getpid()] else 1)"
    assert node.run([sys.executable, "-c", code], gpus=[2], memory_mib=10).wait(timeout=30) == 7
    job = node.run(["sleep", "60"], gpus=[3], memory_mib=10)
    job.send_signal(signal.SIGTERM)
    assert job.wait(timeout=10) == 128 + signal.SIGTERM


def test_work_is_measured_by_gpm_and_per_process(node: SimulatedNode) -> None:
    node.run(["sleep", "60"], gpus=[0], memory_mib=1_000)
    ask(
        node,
        """
        s1, s2 = p.nvmlGpmSampleAlloc(), p.nvmlGpmSampleAlloc()
        p.nvmlGpmSampleGet(h, s1); p.nvmlGpmSampleGet(h, s2)
        g = p.c_nvmlGpmMetricsGet_t()
        g.version, g.numMetrics, g.sample1, g.sample2 = 1, 3, s1, s2
        g.metrics[0].metricId, g.metrics[1].metricId, g.metrics[2].metricId = 2, 5, 400
        p.nvmlGpmMetricsGet(g)
        assert 70 <= g.metrics[0].value <= 90 and 35 <= g.metrics[1].value <= 55 and g.metrics[2].nvmlReturn == 3
        p.nvmlGpmSampleFree(s1); p.nvmlGpmSampleFree(s2)
        (sample,) = p.nvmlDeviceGetProcessUtilization(h, 0)
        assert sample.smUtil >= 90
        """,
    )
    assert raised(node, "p.nvmlDeviceGetProcessUtilization(p.nvmlDeviceGetHandleByIndex(1), 0)") == "NVMLError_NotFound"


def test_settings_need_root_and_are_seen_by_others(node: SimulatedNode) -> None:
    changes = (
        "SetPersistenceMode(h, 0)",
        "SetComputeMode(h, 3)",
        "SetPowerManagementLimit(h, 500000)",
        "SetMigMode(h, 1)",
    )
    for change in changes:
        assert raised(node, f"p.nvmlDevice{change}", NVML_SIM_ROOT="0") == "NVMLError_NoPermission"
    for change in changes[:3]:
        ask(node, f"p.nvmlDevice{change}")
    state = "print(p.nvmlDeviceGetPersistenceMode(h), p.nvmlDeviceGetComputeMode(h), "
    state += "p.nvmlDeviceGetPowerManagementLimit(h))"
    assert ask(node, state) == "0 3 500000"
    assert raised(node, "p.nvmlDeviceSetPowerManagementLimit(h, 1)") == "NVMLError_InvalidArgument"


def test_a_lost_device_hides_no_other(node: SimulatedNode) -> None:
    node.fault("gpu_lost", gpu=0)
    assert raised(node, "") == "NVMLError_GpuIsLost"
    assert ask(
        node,
        "p.nvmlInit(); print(p.nvmlDeviceGetCount(), p.nvmlDeviceGetUUID(p.nvmlDeviceGetHandleByIndex(1)))",
        "import pynvml as p\n",
    )
    node.brain.clear()
    node.fault("gpu_lost", gpu=0, code=999)
    assert raised(node, "") == "NVMLError_Unknown"
    node.brain.clear("gpu_lost")
    ask(node, "p.nvmlDeviceGetPowerUsage(h)")


def test_a_held_handle_is_lost_too(node: SimulatedNode) -> None:
    code = f"""
    from simulator.node import SimNode
    SimNode.open({str(node.state)!r}).inject("xid", gpu=0, code=79)
    p.nvmlDeviceGetPowerUsage(h)
    """
    assert raised(node, code) == "NVMLError_GpuIsLost"


def test_device_faults_show_in_their_counters(node: SimulatedNode) -> None:
    node.fault("ecc_dbe", gpu=0, code=3)
    node.fault("remap_pending", gpu=0)
    node.fault("remap_failed", gpu=0)
    node.fault("thermal", gpu=0)
    node.fault("zombie_mem", gpu=0, memory_mib=5_000)
    ask(
        node,
        """
        assert p.nvmlDeviceGetTotalEccErrors(h, 1, 0) == p.nvmlDeviceGetTotalEccErrors(h, 1, 1) == 3
        assert p.nvmlDeviceGetRemappedRows(h) == (0, 2, 1, 1)
        assert p.nvmlDeviceGetFieldValues(h, [230])[0].value.uiVal == 1
        assert p.nvmlDeviceGetTemperatureV(h, 0) == 89 and p.nvmlDeviceGetCurrentClocksEventReasons(h) & 0x40
        assert p.nvmlDeviceGetMemoryInfo(h, p.nvmlMemory_v2).used >> 20 == 5000
        assert p.nvmlDeviceGetComputeRunningProcesses(h) == []
        """,
    )
    node.brain.clear()
    ask(node, "assert p.nvmlDeviceGetTotalEccErrors(h, 1, 0) == 0 and p.nvmlDeviceGetTotalEccErrors(h, 1, 1) == 3")


def test_call_faults_strike_the_named_call(node: SimulatedNode) -> None:
    node.fault("nvml_error", call="nvmlDeviceGetPowerUsage", code=999, count=2)
    node.fault("missing_symbol", call="nvmlDeviceGetTemperatureV")
    tries = "r = []\nfor _ in range(3):\n    try: p.nvmlDeviceGetPowerUsage(h); r.append(0)\n"
    tries += "    except p.NVMLError as e: r.append(e.value)\nprint(r)"
    assert ask(node, tries) == "[999, 999, 0]"
    assert raised(node, "p.nvmlDeviceGetTemperatureV(h, 0)") == "NVMLError_FunctionNotFound"
    ask(node, "p.nvmlDeviceGetTemperature(h, 0)")
    node.brain.clear()
    node.fault("lib_rm_mismatch")
    assert raised(node, "") == "NVMLError_LibRmVersionMismatch"


def test_a_hang_lets_other_threads_run_and_ends_when_cleared(node: SimulatedNode) -> None:
    node.fault("nvml_hang", call="nvmlDeviceGetPowerUsage", seconds=300)
    ask(
        node,
        f"""
        import threading
        from simulator.node import SimNode
        done = threading.Event()
        thread = threading.Thread(target=lambda: (p.nvmlDeviceGetPowerUsage(h), done.set()), daemon=True)
        thread.start()
        assert sum(1 for _ in range(100000)) == 100000 and not done.is_set()
        SimNode.open({str(node.state)!r}).clear()
        assert done.wait(20)
        """,
    )


def test_xids_arrive_after_registration_and_a_wait_ends_in_timeout(node: SimulatedNode) -> None:
    node.fault("xid", gpu=0, code=13)
    ask(
        node,
        f"""
        from simulator.node import SimNode
        s = p.nvmlEventSetCreate()
        p.nvmlDeviceRegisterEvents(h, p.nvmlDeviceGetSupportedEventTypes(h) & p.nvmlEventTypeXidCriticalError, s)
        try: p.nvmlEventSetWait_v2(s, 120); raise SystemExit("an old event came")
        except p.NVMLError_Timeout: pass
        SimNode.open({str(node.state)!r}).inject("xid", gpu=0, code=31)
        e = p.nvmlEventSetWait_v2(s, 5000)
        assert e.eventData == 31 and e.eventType == p.nvmlEventTypeXidCriticalError
        assert p.nvmlDeviceGetIndex(e.device) == 0
        p.nvmlEventSetFree(s)
        """,
    )


def test_a_forked_child_has_to_init_for_itself(node: SimulatedNode) -> None:
    ask(
        node,
        """
        import os
        pid = os.fork()
        if pid == 0:
            try: p.nvmlDeviceGetPowerUsage(h); os._exit(1)
            except p.NVMLError_Uninitialized: pass
            p.nvmlInit(); p.nvmlDeviceGetPowerUsage(h); os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        p.nvmlDeviceGetPowerUsage(h)
        """,
    )


def test_a_dead_brain_fails_no_call_and_a_new_one_keeps_the_jobs(node: SimulatedNode, tmp_path: Path) -> None:
    job = node.run(["sleep", "60"], gpus=[0], memory_mib=1_000)
    node.process.kill()
    node.process.wait()
    shown = (
        "print([x.pid for x in p.nvmlDeviceGetComputeRunningProcesses(h)], p.nvmlDeviceGetUtilizationRates(h).gpu > 0)"
    )
    assert ask(node, shown) == f"[{node.job_pid(job)}] True"
    again = start_node(tmp_path, count=4)
    try:
        assert ask(again, shown) == f"[{node.job_pid(job)}] True"
        ticks = again.brain.state.view.header.tick_count
        wait_until(lambda: again.brain.state.view.header.tick_count > ticks)
    finally:
        again.stop()


def test_commands_refuse_with_one_line(node: SimulatedNode, tmp_path: Path) -> None:
    def stderr(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "simulator", *arguments]
        result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=node.env)
        return result.returncode, result.stderr

    state = str(node.state)
    assert stderr("serve", "h100_sxm_8", "--state", state, "--count", "4")[0] == 2
    for arguments in (
        ("run", "--state", state, "--gpu", "9", "--mem", "1", "--", "true"),
        ("run", "--state", state, "--gpu", "x", "--mem", "1", "--", "true"),
        ("run", "--state", state, "--gpu", "0", "--mem", "999999", "--", "true"),
        ("run", "--state", state, "--gpu", "0", "--mem", "1", "--"),
        ("fault", "--state", state, "xid"),
        ("fault", "--state", state, "gpu_lost", "--gpu", "44"),
        ("status", "--state", str(tmp_path / "none")),
    ):
        code, text = stderr(*arguments)
        assert code == 2, arguments
        assert text.startswith("simulator: ")
        assert text.count("\n") == 1
    assert SimNode.open(node.state).processes() == []


def test_env_makes_any_program_see_the_node(node: SimulatedNode) -> None:
    script = f'eval "$({sys.executable} -m simulator env --state {node.state})"; {sys.executable} -c '
    script += "'import pynvml as p; p.nvmlInit(); print(p.nvmlDeviceGetCount())'"
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("NVML", "LD_"))}
    result = subprocess.run(["sh", "-c", script], env=plain, cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "4", result.stderr
