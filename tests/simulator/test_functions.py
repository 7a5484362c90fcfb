"""Every function that the project asks of NVML is exported, and answers when it is called through unmodified pynvml."""

import ctypes
import os
from pathlib import Path

import pytest

from simulator import build
from tests.simulator.nodes import start_node
from tests.simulator.test_shim import ask

WANTED = """
nvmlInitWithFlags nvmlInit_v2 nvmlShutdown nvmlErrorString nvmlSystemGetDriverVersion nvmlSystemGetNVMLVersion
nvmlSystemGetCudaDriverVersion_v2 nvmlSystemGetProcessName nvmlDeviceGetCount_v2 nvmlDeviceGetHandleByIndex_v2
nvmlDeviceGetHandleByUUID nvmlDeviceGetHandleByPciBusId_v2 nvmlDeviceGetUUID nvmlDeviceGetSerial nvmlDeviceGetName
nvmlDeviceGetBrand nvmlDeviceGetIndex nvmlDeviceGetMinorNumber nvmlDeviceGetPciInfo_v3 nvmlDeviceGetBoardPartNumber
nvmlDeviceGetVbiosVersion nvmlDeviceGetInforomImageVersion nvmlDeviceGetArchitecture
nvmlDeviceGetCudaComputeCapability nvmlDeviceGetMemoryInfo nvmlDeviceGetMemoryInfo_v2 nvmlDeviceGetBAR1MemoryInfo
nvmlDeviceGetUtilizationRates nvmlDeviceGetPowerUsage nvmlDeviceGetTotalEnergyConsumption
nvmlDeviceGetPowerManagementLimit nvmlDeviceGetPowerManagementLimitConstraints
nvmlDeviceGetPowerManagementDefaultLimit nvmlDeviceGetEnforcedPowerLimit nvmlDeviceGetTemperature
nvmlDeviceGetTemperatureV nvmlDeviceGetTemperatureThreshold nvmlDeviceGetClockInfo nvmlDeviceGetMaxClockInfo
nvmlDeviceGetPerformanceState nvmlDeviceGetCurrentClocksEventReasons nvmlDeviceGetCurrentClocksThrottleReasons
nvmlDeviceGetEccMode nvmlDeviceGetTotalEccErrors nvmlDeviceGetMemoryErrorCounter nvmlDeviceGetRetiredPages
nvmlDeviceGetRetiredPages_v2 nvmlDeviceGetRetiredPagesPendingStatus nvmlDeviceGetRemappedRows
nvmlDeviceGetRowRemapperHistogram nvmlDeviceGetSramEccErrorStatus nvmlDeviceGetFieldValues
nvmlDeviceGetProcessUtilization nvmlDeviceGetComputeRunningProcesses_v3 nvmlDeviceGetGraphicsRunningProcesses_v3
nvmlDeviceGetMPSComputeRunningProcesses_v3 nvmlDeviceGetSamples nvmlDeviceGetCurrPcieLinkGeneration
nvmlDeviceGetCurrPcieLinkWidth nvmlDeviceGetMaxPcieLinkGeneration nvmlDeviceGetMaxPcieLinkWidth
nvmlDeviceGetPcieReplayCounter nvmlDeviceGetTopologyCommonAncestor nvmlDeviceGetNvLinkState
nvmlDeviceGetNvLinkVersion nvmlDeviceGetNvLinkRemotePciInfo_v2 nvmlDeviceGetNvLinkRemoteDeviceType
nvmlDeviceGetNvLinkErrorCounter nvmlDeviceGetGpuFabricInfoV nvmlDeviceGetPersistenceMode
nvmlDeviceSetPersistenceMode nvmlDeviceGetComputeMode nvmlDeviceSetComputeMode nvmlDeviceSetPowerManagementLimit
nvmlDeviceGetAccountingMode nvmlDeviceSetAccountingMode nvmlDeviceGetAccountingStats nvmlDeviceGetAccountingPids
nvmlDeviceGetAccountingBufferSize nvmlDeviceClearAccountingPids nvmlEventSetCreate nvmlDeviceRegisterEvents
nvmlDeviceGetSupportedEventTypes nvmlEventSetWait_v2 nvmlEventSetFree nvmlGpmQueryDeviceSupport nvmlGpmSampleAlloc
nvmlGpmSampleGet nvmlGpmMigSampleGet nvmlGpmMetricsGet nvmlGpmSampleFree nvmlDeviceGetMigMode nvmlDeviceSetMigMode
nvmlDeviceGetMaxMigDeviceCount nvmlDeviceGetMigDeviceHandleByIndex nvmlDeviceGetGpuInstanceProfileInfo
nvmlDeviceGetGpuInstanceProfileInfoV nvmlDeviceGetGpuInstanceRemainingCapacity
nvmlDeviceGetGpuInstancePossiblePlacements_v2 nvmlDeviceCreateGpuInstance nvmlDeviceCreateGpuInstanceWithPlacement
nvmlGpuInstanceDestroy nvmlDeviceGetGpuInstances nvmlDeviceGetGpuInstanceById nvmlGpuInstanceGetInfo
nvmlGpuInstanceGetComputeInstanceProfileInfo nvmlGpuInstanceGetComputeInstanceProfileInfoV
nvmlGpuInstanceCreateComputeInstance nvmlComputeInstanceDestroy nvmlGpuInstanceGetComputeInstances
nvmlComputeInstanceGetInfo_v2 nvmlDeviceIsMigDeviceHandle nvmlDeviceGetGpuInstanceId nvmlDeviceGetComputeInstanceId
nvmlDeviceGetDeviceHandleFromMigDeviceHandle nvmlDeviceGetAttributes_v2 nvmlDeviceGetApplicationsClock
nvmlDeviceSetGpuLockedClocks nvmlDeviceResetGpuLockedClocks nvmlDeviceSetEccMode nvmlDeviceClearEccErrorCounts
nvmlDeviceGetCpuAffinity nvmlDeviceGetModuleId nvmlDeviceGetNumaNodeId nvmlDeviceGetViolationStatus
"""


@pytest.mark.parametrize("symbol", WANTED.split())
def test_the_library_has_the_function(symbol: str) -> None:
    assert getattr(ctypes.CDLL(str(build.library())), symbol)


TRACE = """
import pynvml as p
asked, answered = set(), set()
pointer = p._nvmlGetFunctionPointer

def traced(name):
    function = pointer(name)
    asked.add(name)
    if name == "nvmlErrorString":  # answers with text: pynvml sets the type of it
        answered.add(name)
        return function
    def call(*arguments):
        status = function(*arguments)
        if status == 0:
            answered.add(name)
        return status
    return call

p._nvmlGetFunctionPointer = traced
p.nvmlInit()
h = p.nvmlDeviceGetHandleByIndex(0)
"""
BOARD = """
import os
from pathlib import Path
from simulator.node import SimNode
brain = SimNode.open(Path(os.environ["NVML_SIM_STATE"]))
p.nvmlErrorString(999)
p.nvmlSystemGetDriverVersion(), p.nvmlSystemGetNVMLVersion(), p.nvmlSystemGetCudaDriverVersion_v2()
p.nvmlDeviceGetCount(), p.nvmlSystemGetProcessName(PID)
other = p.nvmlDeviceGetHandleByUUID(p.nvmlDeviceGetUUID(p.nvmlDeviceGetHandleByIndex(1)))
p.nvmlDeviceGetHandleByPciBusId(p.nvmlDeviceGetPciInfo(h).busId)
for what in ("Serial Name Brand Index MinorNumber BoardPartNumber VbiosVersion InforomImageVersion Architecture "
             "ModuleId CudaComputeCapability BAR1MemoryInfo UtilizationRates PowerUsage TotalEnergyConsumption "
             "NumaNodeId EccMode RowRemapperHistogram "
             "PowerManagementLimit PowerManagementLimitConstraints PowerManagementDefaultLimit EnforcedPowerLimit "
             "PerformanceState CurrentClocksEventReasons CurrentClocksThrottleReasons RemappedRows "
             "SramEccErrorStatus CurrPcieLinkGeneration CurrPcieLinkWidth MaxPcieLinkGeneration MaxPcieLinkWidth "
             "PcieReplayCounter PersistenceMode ComputeMode AccountingMode AccountingPids AccountingBufferSize "
             "SupportedEventTypes MigMode MaxMigDeviceCount ComputeRunningProcesses_v3 GraphicsRunningProcesses_v3 "
             "MPSComputeRunningProcesses_v3").split():
    ask = getattr(p, "nvmlDeviceGet" + what)
    if what == "SramEccErrorStatus":
        status = p.c_nvmlEccSramErrorStatus_v1_t()
        status.version = p.nvmlEccSramErrorStatus_v1
        ask(h, p.byref(status))
    else:
        ask(h)
p.nvmlDeviceGetMemoryInfo(h), p.nvmlDeviceGetMemoryInfo(h, p.nvmlMemory_v2)
p.nvmlDeviceGetTemperature(h, 0), p.nvmlDeviceGetTemperatureV(h, 0), p.nvmlDeviceGetTemperatureThreshold(h, 0)
p.nvmlDeviceGetClockInfo(h, 1), p.nvmlDeviceGetMaxClockInfo(h, 1), p.nvmlDeviceGetApplicationsClock(h, 1)
p.nvmlDeviceGetTotalEccErrors(h, 1, 0), p.nvmlDeviceGetMemoryErrorCounter(h, 1, 0, 2)
p.nvmlDeviceGetFieldValues(h, [83, 185, 230])
p.nvmlDeviceGetSamples(h, p.NVML_GPU_UTILIZATION_SAMPLES, 0), p.nvmlDeviceGetViolationStatus(h, 0)
p.nvmlDeviceGetTopologyCommonAncestor(h, other), p.nvmlDeviceGetCpuAffinity(h, 4)
for what in ("State", "Version", "RemotePciInfo", "RemoteDeviceType"):
    getattr(p, "nvmlDeviceGetNvLink" + what)(h, 0)
p.nvmlDeviceGetNvLinkErrorCounter(h, 0, 0)
fabric = p.c_nvmlGpuFabricInfo_v2_t()
fabric.version = p.nvmlGpuFabricInfo_v2
p.nvmlDeviceGetGpuFabricInfoV(h, p.byref(fabric))
p.nvmlDeviceGetProcessUtilization(h, 0)
p.nvmlDeviceSetPersistenceMode(h, 1), p.nvmlDeviceSetComputeMode(h, 0), p.nvmlDeviceSetPowerManagementLimit(h, 500_000)
p.nvmlDeviceSetGpuLockedClocks(h, 400, 900), p.nvmlDeviceResetGpuLockedClocks(h)
p.nvmlDeviceSetEccMode(h, 1), p.nvmlDeviceClearEccErrorCounts(h, 0)
p.nvmlDeviceSetAccountingMode(h, 1)
brain.refresh()  # the ring of jobs is written by the brain's next tick
p.nvmlDeviceGetAccountingStats(h, PID), p.nvmlDeviceClearAccountingPids(h)
events = p.nvmlEventSetCreate()
p.nvmlDeviceRegisterEvents(h, p.nvmlEventTypeXidCriticalError, events)
brain.inject("xid", gpu=0, code=31)
p.nvmlEventSetWait_v2(events, 2000), p.nvmlEventSetFree(events)
p.nvmlGpmQueryDeviceSupport(h)
one, two = p.nvmlGpmSampleAlloc(), p.nvmlGpmSampleAlloc()
p.nvmlGpmSampleGet(h, one), p.nvmlGpmSampleGet(h, two)
asking = p.c_nvmlGpmMetricsGet_t()
asking.version, asking.numMetrics, asking.sample1, asking.sample2, asking.metrics[0].metricId = 1, 1, one, two, 2
p.nvmlGpmMetricsGet(asking), p.nvmlGpmSampleFree(one), p.nvmlGpmSampleFree(two)
"""
MIG = """
p.nvmlDeviceSetMigMode(h, 1)
kind = p.nvmlDeviceGetGpuInstanceProfileInfo(h, 0)
p.nvmlDeviceGetGpuInstanceProfileInfo(h, 0, 1), p.nvmlDeviceGetGpuInstanceRemainingCapacity(h, kind.id)
places, count = (p.c_nvmlGpuInstancePlacement_t * 8)(), p.c_uint(8)
p.nvmlDeviceGetGpuInstancePossiblePlacements(h, kind.id, places, p.byref(count))
gpu = p.nvmlDeviceCreateGpuInstance(h, kind.id)
gone = p.nvmlDeviceCreateGpuInstanceWithPlacement(h, kind.id, p.byref(p.c_nvmlGpuInstancePlacement_t(3, 1)))
p.nvmlGpuInstanceDestroy(gone)
many = (p.c_nvmlGpuInstance_t * 8)()
p.nvmlDeviceGetGpuInstances(h, kind.id, many, p.byref(count))
p.nvmlDeviceGetGpuInstanceById(h, p.nvmlGpuInstanceGetInfo(gpu).id)
part = p.nvmlGpuInstanceGetComputeInstanceProfileInfo(gpu, 0, 0)
p.nvmlGpuInstanceGetComputeInstanceProfileInfo(gpu, 0, 0, 1)
compute = p.nvmlGpuInstanceCreateComputeInstance(gpu, part.id)
p.nvmlGpuInstanceGetComputeInstances(gpu, part.id, many, p.byref(count)), p.nvmlComputeInstanceGetInfo_v2(compute)
mig = p.nvmlDeviceGetMigDeviceHandleByIndex(h, 0)
p.nvmlDeviceIsMigDeviceHandle(mig), p.nvmlDeviceGetGpuInstanceId(mig), p.nvmlDeviceGetComputeInstanceId(mig)
p.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(mig), p.nvmlDeviceGetAttributes_v2(mig)
sample = p.nvmlGpmSampleAlloc()
p.nvmlGpmMigSampleGet(h, p.nvmlDeviceGetGpuInstanceId(mig), sample), p.nvmlGpmSampleFree(sample)
p.nvmlComputeInstanceDestroy(compute)
"""
PAGES = """
p.nvmlDeviceGetRetiredPages(h, 0), p.nvmlDeviceGetRetiredPages_v2(h, 0), p.nvmlDeviceGetRetiredPagesPendingStatus(h)
"""
DONE = """
p.nvmlShutdown()
print(" ".join(sorted(answered)))
"""


def test_every_function_answers_through_pynvml(tmp_path: Path) -> None:
    answered: set[str] = set()
    for profile, code in (("h100_sxm_8", BOARD), ("h100_sxm_8", MIG), ("t4_4", PAGES)):
        node = start_node(tmp_path, profile, name=f"{profile}-{len(answered)}", count=2)
        try:
            if code == BOARD:
                node.brain.bind(os.getpid(), [0], 100)
            answered |= set(ask(node, code.replace("PID", str(os.getpid())) + DONE, prelude=TRACE).split())
        finally:
            node.stop()
    # pynvml initialises with nvmlInitWithFlags; the plain one is there for other programs.
    assert set(WANTED.split()) - answered == {"nvmlInit_v2"}
