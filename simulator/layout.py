"""One table of every struct that C and Python share; the C header and the ctypes classes are made from it.

Two sources of one layout drift apart; here neither side is written by hand. The structs named `nvml*` are NVML's own
(nvml.h as nvidia-ml-py 13.615 mirrors it; a test compares their sizes with pynvml's); those named `sim_*` are ours.
"""

from __future__ import annotations

import ctypes
from typing import Any

ABI_VERSION = 4
MAGIC = 0x4D49535F4C4D564E  # "NVML_SIM", little endian
MAX_DEVICES = 16
MAX_PROCESSES = 512
MAX_FAULTS = 64
MAX_EVENTS = 256
MAX_INSTANCES = 8  # GPU instances on a device, compute instances in one
MAX_MIG_PROFILES = 8
MAX_ACCOUNTS = 64  # a driver keeps 4000
NO_INSTANCE = 0xFFFFFFFF
ALL_DEVICES = 0xFFFFFFFF
GPM_METRIC_MAX = 477  # pynvml 13.615's NVML_GPM_METRIC_MAX + 1; callers with fewer only lay out fewer

SCALARS: dict[str, tuple[Any, str]] = {
    "u8": (ctypes.c_uint8, "uint8_t"),
    "u32": (ctypes.c_uint32, "uint32_t"),
    "i32": (ctypes.c_int32, "int32_t"),
    "u64": (ctypes.c_uint64, "uint64_t"),
    "i64": (ctypes.c_int64, "int64_t"),
    "f64": (ctypes.c_double, "double"),
    "char": (ctypes.c_char, "char"),
    "ptr": (ctypes.c_void_p, "void *"),
}


def _fields(text: str) -> list[tuple[str, str, int]]:
    """Parse `type name[count]` words, separated by semicolons, to (name, type, count)."""
    fields = []
    for part in filter(None, (piece.strip() for piece in text.replace("\n", " ").split(";"))):
        kind, names = part.split(None, 1)
        for name in (word.strip() for word in names.split(",")):
            base, _, count = name.partition("[")
            fields.append((base, kind, int(count.rstrip("]")) if count else 0))
    return fields


STRUCTS: dict[str, list[tuple[str, str, int]]] = {
    name: _fields(text)
    for name, text in {
        "sim_header": """
            u64 magic; u32 abi_version, device_count; u64 seed, created_ns, clock_ns, tick_count, event_count;
            u64 fault_serial, process_serial, boot_ns, log_serial; u32 fault_count, serve_pid, cuda_version, boots;
            char driver_version[80], nvml_version[80], node_name[64], profile[64]""",
        "sim_device": """
            u32 seq, minor_number;
            char uuid[80], name[96], serial[32], bus_id[32], bus_id_legacy[16], vbios[32], inforom[16], part_number[80];
            u32 pci_domain, pci_bus, pci_device, pci_device_id, pci_subsystem_id, brand, architecture;
            u32 cc_major, cc_minor;
            u32 power_min_mw, power_max_mw, power_default_mw;
            u32 pcie_gen_max, pcie_width_max, nvlink_count, nvlink_version;
            u32 fabric_state, gpm_supported, mig_capable, row_remap_supported, page_retirement_supported, module_id;
            u32 sm_clock_max, mem_clock_max, temp_slowdown, temp_shutdown, temp_max, numa_node;
            u32 persistence_mode, compute_mode, power_limit_mw, ecc_mode, ecc_pending, mig_mode, accounting_mode;
            u32 util_gpu, util_memory, power_mw, temperature_c, memory_temperature_c, sm_clock, mem_clock, pstate;
            u32 pcie_gen, pcie_width, remap_correctable, remap_uncorrectable, remap_pending, remap_failure;
            u32 retired_sbe, retired_dbe, retired_pending, recovery_action, lost, lost_code, nvlink_down_mask;
            u32 pcie_replay, locked_clock;
            u64 memory_total, memory_reserved, bar1_total, zombie_bytes, clock_event_reasons, energy_mj;
            u64 ecc_sbe_volatile, ecc_dbe_volatile, ecc_sbe_aggregate, ecc_dbe_aggregate;
            u64 nvlink_replay, nvlink_recovery, nvlink_crc_flit, nvlink_crc_data;
            u64 violation_power_ns, violation_thermal_ns, violation_brake_ns;
            f64 temperature, energy, gpm_seconds, graphics, sm, occupancy, tensor, dram, pcie_tx, pcie_rx, nvlink_tx;
            f64 nvlink_rx;
            f64 now_graphics, now_sm, now_occupancy, now_tensor, now_dram, now_pcie_tx, now_pcie_rx, now_nvlink_tx;
            f64 now_nvlink_rx""",
        "sim_process": """
            u32 in_use, device, pid, workload; u64 start_ticks, memory_bytes, registered_ns, seed, util_us;
            u32 sm_util, mem_util, stuck, gpu_instance, compute_instance, reserved""",
        "sim_fault": """
            u32 active, kind, device, code; u64 id, duration_ms, memory_bytes; i64 remaining; char call[64]""",
        "sim_event": "u64 at_ns, type, data; u32 device, pid",
        "sim_mig_profile": """
            u32 id, kind, slices, size, starts, count, sms, copies, decoders, encoders, jpegs, ofas; u64 memory_mib;
            char name[32]""",
        "sim_compute_instance": "u32 in_use, kind, slices, start",
        "sim_gpu_instance": f"""
            u32 in_use, id, profile, start; sim_compute_instance compute[{MAX_INSTANCES}];
            f64 graphics, sm, occupancy, tensor, dram, pcie_tx, pcie_rx, nvlink_tx, nvlink_rx;
            f64 now_graphics, now_sm, now_occupancy, now_tensor, now_dram, now_pcie_tx, now_pcie_rx, now_nvlink_tx;
            f64 now_nvlink_rx""",
        "sim_partition": f"sim_gpu_instance instances[{MAX_INSTANCES}]",
        "sim_account": """
            u32 pid, running; u64 start_us, memory_bytes; f64 seconds, busy, memory_busy""",
        "sim_ledger": f"u64 written; sim_account accounts[{MAX_ACCOUNTS}]",
        "sim_state": f"""
            sim_header header; sim_device devices[{MAX_DEVICES}]; sim_process processes[{MAX_PROCESSES}];
            sim_fault faults[{MAX_FAULTS}]; sim_event events[{MAX_EVENTS}];
            sim_mig_profile mig_profiles[{MAX_MIG_PROFILES}]; sim_partition partitions[{MAX_DEVICES}];
            sim_ledger ledgers[{MAX_DEVICES}]""",
        "nvmlMemory": "u64 total, free, used",
        "nvmlMemory_v2": "u32 version; u64 total, reserved, free, used",
        "nvmlBAR1Memory": "u64 total, free, used",
        "nvmlUtilization": "u32 gpu, memory",
        "nvmlViolationTime": "u64 referenceTime, violationTime",
        "nvmlPciInfo": """
            char busIdLegacy[16]; u32 domain, bus, device, pciDeviceId, pciSubSystemId; char busId[32]""",
        "nvmlProcessInfo": "u32 pid; u64 usedGpuMemory; u32 gpuInstanceId, computeInstanceId",
        "nvmlProcessUtilizationSample": "u32 pid; u64 timeStamp; u32 smUtil, memUtil, encUtil, decUtil",
        "nvmlFieldValue": "u32 fieldId, scopeId; i64 timestamp, latencyUsec; u32 valueType, nvmlReturn; u64 value",
        "nvmlEventData": "ptr device; u64 eventType, eventData; u32 gpuInstanceId, computeInstanceId",
        "nvmlTemperature_v1": "u32 version, sensorType; i32 temperature",
        "nvmlGpuFabricInfo": "u8 clusterUuid[16]; u32 status, cliqueId, state",
        "nvmlGpuFabricInfo_v2": "u32 version; u8 clusterUuid[16]; u32 status, cliqueId, state, healthMask",
        "nvmlGpuFabricInfo_v3": """
            u32 version; u8 clusterUuid[16]; u32 status, cliqueId, state, healthMask; u8 healthSummary""",
        "nvmlAccountingStats": """
            u32 gpuUtilization, memoryUtilization; u64 maxMemoryUsage, time, startTime; u32 isRunning, reserved[5]""",
        "nvmlSample": "u64 timeStamp, sampleValue",
        "nvmlRowRemapperHistogramValues": "u32 max, high, partial, low, none",
        "nvmlEccSramErrorStatus_v1": """
            u32 version; u64 aggregateUncParity, aggregateUncSecDed, aggregateCor, volatileUncParity;
            u64 volatileUncSecDed, volatileCor, aggregateUncBucketL2, aggregateUncBucketSm, aggregateUncBucketPcie;
            u64 aggregateUncBucketMcu, aggregateUncBucketOther; u32 bThresholdExceeded""",
        "nvmlGpuInstancePlacement": "u32 start, size",
        "nvmlGpuInstanceProfileInfo": """
            u32 id, isP2pSupported, sliceCount, instanceCount, multiprocessorCount, copyEngineCount, decoderCount;
            u32 encoderCount, jpegCount, ofaCount; u64 memorySizeMB""",
        "nvmlGpuInstanceProfileInfo_v2": """
            u32 version, id, isP2pSupported, sliceCount, instanceCount, multiprocessorCount, copyEngineCount;
            u32 decoderCount, encoderCount, jpegCount, ofaCount; u64 memorySizeMB; char name[96]""",
        "nvmlGpuInstanceInfo": "ptr device; u32 id, profileId; nvmlGpuInstancePlacement placement",
        "nvmlComputeInstancePlacement": "u32 start, size",
        "nvmlComputeInstanceProfileInfo": """
            u32 id, sliceCount, instanceCount, multiprocessorCount, sharedCopyEngineCount, sharedDecoderCount;
            u32 sharedEncoderCount, sharedJpegCount, sharedOfaCount""",
        "nvmlComputeInstanceProfileInfo_v2": """
            u32 version, id, sliceCount, instanceCount, multiprocessorCount, sharedCopyEngineCount;
            u32 sharedDecoderCount, sharedEncoderCount, sharedJpegCount, sharedOfaCount; char name[96]""",
        "nvmlComputeInstanceInfo": """
            ptr device, gpuInstance; u32 id, profileId; nvmlComputeInstancePlacement placement""",
        "nvmlDeviceAttributes": """
            u32 multiprocessorCount, sharedCopyEngineCount, sharedDecoderCount, sharedEncoderCount, sharedJpegCount;
            u32 sharedOfaCount, gpuInstanceSliceCount, computeInstanceSliceCount; u64 memorySizeMB""",
        "nvmlGpmSupport": "u32 version, isSupportedDevice",
        "nvmlGpmMetric": "u32 metricId, nvmlReturn; f64 value; ptr shortName, longName, unit",
        "nvmlGpmMetricsGet_t": f"""
            u32 version, numMetrics; ptr sample1, sample2; nvmlGpmMetric metrics[{GPM_METRIC_MAX}]""",
    }.items()
}

RETURN_CODES: dict[str, tuple[int, str]] = {
    "SUCCESS": (0, "Success"),
    "UNINITIALIZED": (1, "Uninitialized"),
    "INVALID_ARGUMENT": (2, "Invalid Argument"),
    "NOT_SUPPORTED": (3, "Not Supported"),
    "NO_PERMISSION": (4, "Insufficient Permissions"),
    "NOT_FOUND": (6, "Not Found"),
    "INSUFFICIENT_SIZE": (7, "Insufficient Size"),
    "DRIVER_NOT_LOADED": (9, "Driver Not Loaded"),
    "TIMEOUT": (10, "Timeout"),
    "FUNCTION_NOT_FOUND": (13, "Function Not Found"),
    "GPU_IS_LOST": (15, "GPU is lost"),
    "RESET_REQUIRED": (16, "GPU requires restart"),
    "LIB_RM_VERSION_MISMATCH": (18, "Driver/library version mismatch"),
    "IN_USE": (19, "In use by another client"),
    "MEMORY": (20, "Insufficient Memory"),
    "INSUFFICIENT_RESOURCES": (23, "Insufficient Resources"),
    "ARGUMENT_VERSION_MISMATCH": (25, "The provided version is not supported by this function"),
    "UNKNOWN": (999, "Unknown Error"),
}

FAULT_KINDS = (
    "none",
    "gpu_lost",
    "xid",
    "ecc_dbe",
    "remap_pending",
    "remap_failed",
    "thermal",
    "nvml_hang",
    "nvml_error",
    "missing_symbol",
    "lib_rm_mismatch",
    "zombie_mem",
    "nvlink_down",
    "recovery_action",
    "ecc_sbe_storm",
    "power_brake",
    "pcie_width",
    "nvlink_errors",
    "nvml_slow",
    "stuck_process",
)


def _build() -> dict[str, Any]:
    classes: dict[str, Any] = {}
    for name, fields in STRUCTS.items():
        members = []
        for field, kind, count in fields:
            base = SCALARS[kind][0] if kind in SCALARS else classes[kind]
            members.append((field, base * count if count else base))
        classes[name] = type(name, (ctypes.Structure,), {"_fields_": members})
    return classes


CLASSES: dict[str, Any] = _build()
STATE: Any = CLASSES["sim_state"]
STATE_BYTES: int = ctypes.sizeof(STATE)


def header_text() -> str:
    """The C header of every struct and constant, with the sizes and offsets that ctypes computed asserted in it."""
    lines = ["/* Generated from simulator/layout.py: do not edit. */", "#pragma once", "#include <stddef.h>"]
    lines += ["#include <stdint.h>", f"#define SIM_ABI_VERSION {ABI_VERSION}", f"#define SIM_MAGIC {MAGIC:#x}ULL"]
    for label, value in (
        ("MAX_DEVICES", MAX_DEVICES),
        ("MAX_PROCESSES", MAX_PROCESSES),
        ("MAX_FAULTS", MAX_FAULTS),
        ("MAX_EVENTS", MAX_EVENTS),
        ("MAX_INSTANCES", MAX_INSTANCES),
        ("MAX_MIG_PROFILES", MAX_MIG_PROFILES),
        ("MAX_ACCOUNTS", MAX_ACCOUNTS),
        ("NO_INSTANCE", f"{NO_INSTANCE}U"),
        ("ALL_DEVICES", f"{ALL_DEVICES}U"),
    ):
        lines.append(f"#define SIM_{label} {value}")
    lines += [f"#define SIM_FAULT_{kind.upper()} {number}" for number, kind in enumerate(FAULT_KINDS)]
    lines += [f"#define NVML_{name} {code}" for name, (code, _) in RETURN_CODES.items()]
    texts = " ".join(f'X({code}, "{text}")' for code, text in RETURN_CODES.values())
    lines.append(f"#define NVML_RETURN_TEXTS(X) {texts}")
    for name, fields in STRUCTS.items():
        lines.append(f"typedef struct {name} {{")
        for field, kind, count in fields:
            c_name = SCALARS[kind][1] if kind in SCALARS else kind
            lines.append(f"    {c_name} {field}{f'[{count}]' if count else ''};")
        lines.append(f"}} {name};")
        lines.append(f'_Static_assert(sizeof({name}) == {ctypes.sizeof(CLASSES[name])}, "size of {name}");')
        last = fields[-1][0]
        offset = getattr(CLASSES[name], last).offset
        lines.append(f'_Static_assert(offsetof({name}, {last}) == {offset}, "end of {name}");')
    return "\n".join(lines) + "\n"
