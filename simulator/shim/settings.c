/* Clocks, ECC settings, links' far ends, affinity, and what an RMA is argued from. */
#include <string.h>

#include "internal.h"

#define ROOT()                                   \
    do {                                         \
        nvmlReturn_t may = sim_require_root();   \
        if (may != NVML_SUCCESS) return may;     \
    } while (0)
#define STORE(field, value) __atomic_store_n(&sim->devices[handle->index].field, (value), __ATOMIC_RELEASE)

EXPORT nvmlReturn_t nvmlDeviceGetApplicationsClock(nvmlDevice_t handle, unsigned int type, unsigned int *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out && type < 4);
    *out = type == 2 ? view.mem_clock_max : view.sm_clock_max;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetDefaultApplicationsClock(nvmlDevice_t handle, unsigned int type, unsigned int *out) {
    return nvmlDeviceGetApplicationsClock(handle, type, out);
}

EXPORT nvmlReturn_t nvmlDeviceSetGpuLockedClocks(nvmlDevice_t handle, unsigned int low_mhz, unsigned int high_mhz) {
    ENTER_DEVICE(handle, view);
    REQUIRE(low_mhz <= high_mhz && high_mhz > 0);
    ROOT();
    STORE(locked_clock, high_mhz < view.sm_clock_max ? high_mhz : view.sm_clock_max);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceResetGpuLockedClocks(nvmlDevice_t handle) {
    ENTER_DEVICE(handle, view);
    ROOT();
    STORE(locked_clock, 0u);
    return NVML_SUCCESS;
}

/* Takes hold with the next reset of the device. */
EXPORT nvmlReturn_t nvmlDeviceSetEccMode(nvmlDevice_t handle, unsigned int mode) {
    ENTER_DEVICE(handle, view);
    REQUIRE(mode < 2);
    ROOT();
    STORE(ecc_pending, mode);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetDefaultEccMode(nvmlDevice_t handle, unsigned int *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out);
    *out = 1;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceClearEccErrorCounts(nvmlDevice_t handle, unsigned int counter) {
    ENTER_DEVICE(handle, view);
    REQUIRE(counter < 2);
    ROOT();
    if (counter == 0) {
        STORE(ecc_sbe_volatile, 0u);
        STORE(ecc_dbe_volatile, 0u);
    } else {
        STORE(ecc_sbe_aggregate, 0u);
        STORE(ecc_dbe_aggregate, 0u);
    }
    return NVML_SUCCESS;
}

/* 64 banks, of which each remapped row uses up a part of one. */
EXPORT nvmlReturn_t nvmlDeviceGetRowRemapperHistogram(nvmlDevice_t handle, nvmlRowRemapperHistogramValues *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out);
    if (!view.row_remap_supported) return NVML_NOT_SUPPORTED;
    uint32_t used = view.remap_correctable + view.remap_uncorrectable, none = view.remap_failure ? 1 : 0;
    if (used > 640) used = 640;
    *out = (nvmlRowRemapperHistogramValues){.max = 640 - used, .high = used > none ? used - none : 0, .none = none};
    return NVML_SUCCESS;
}

/* No fault of ours lies in SRAM: the threshold that argues for an RMA is not passed. */
EXPORT nvmlReturn_t nvmlDeviceGetSramEccErrorStatus(nvmlDevice_t handle, nvmlEccSramErrorStatus_v1 *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out);
    ROOT();
    if (!view.row_remap_supported) return NVML_NOT_SUPPORTED;
    uint32_t version = out->version;
    if (version != (sizeof *out | 1u << 24)) return NVML_ARGUMENT_VERSION_MISMATCH;
    memset(out, 0, sizeof *out);
    out->version = version;
    return NVML_SUCCESS;
}

/* Errors of the whole device are laid to its first link. */
EXPORT nvmlReturn_t nvmlDeviceGetNvLinkErrorCounter(nvmlDevice_t handle, unsigned int link, unsigned int counter,
                                                    unsigned long long *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out && counter < 5);
    if (!view.nvlink_count) return NVML_NOT_SUPPORTED;
    REQUIRE(link < view.nvlink_count);
    const uint64_t counts[5] = {view.nvlink_replay, view.nvlink_recovery, view.nvlink_crc_flit, view.nvlink_crc_data, 0};
    *out = link ? 0 : counts[counter];
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetNvLinkRemoteDeviceType(nvmlDevice_t handle, unsigned int link, unsigned int *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out);
    if (!view.nvlink_count) return NVML_NOT_SUPPORTED;
    REQUIRE(link < view.nvlink_count);
    *out = 2; /* every link ends at an NVSwitch */
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo_v2(nvmlDevice_t handle, unsigned int link, nvmlPciInfo *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out);
    if (!view.nvlink_count) return NVML_NOT_SUPPORTED;
    REQUIRE(link < view.nvlink_count);
    memset(out, 0, sizeof *out);
    out->bus = 5 + link % 4; /* four switches on the baseboard */
    out->pciDeviceId = 0x22a310deu;
    memcpy(out->busIdLegacy, "0000:05:00.0", 13);
    memcpy(out->busId, "00000000:05:00.0", 17);
    out->busIdLegacy[6] = out->busId[10] = (char)('5' + link % 4);
    return NVML_SUCCESS;
}

/* 32 processors to a NUMA node. */
EXPORT nvmlReturn_t nvmlDeviceGetCpuAffinity(nvmlDevice_t handle, unsigned int words, unsigned long *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out && words);
    memset(out, 0, words * sizeof *out);
    out[0] = view.numa_node ? 0xffffffff00000000ul : 0xfffffffful;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetAccountingBufferSize(nvmlDevice_t handle, unsigned int *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out);
    *out = SIM_MAX_ACCOUNTS;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceSetAccountingMode(nvmlDevice_t handle, unsigned int mode) {
    ENTER_DEVICE(handle, view);
    REQUIRE(mode < 2);
    ROOT();
    if (view.mig_mode) return NVML_NOT_SUPPORTED;
    STORE(accounting_mode, mode);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceClearAccountingPids(nvmlDevice_t handle) {
    ENTER_DEVICE(handle, view);
    ROOT();
    int lock = sim_lock();
    memset(&sim->ledgers[handle->index], 0, sizeof(sim_ledger));
    if (lock >= 0) sim_unlock(lock);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetAccountingPids(nvmlDevice_t handle, unsigned int *count, unsigned int *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(count);
    const sim_ledger *ledger = &sim->ledgers[handle->index];
    unsigned int have = 0, room = *count;
    for (int slot = 0; slot < SIM_MAX_ACCOUNTS; slot++)
        if (ledger->accounts[slot].pid && have++ < room && out) out[have - 1] = ledger->accounts[slot].pid;
    *count = have;
    return have > room || (have && !out) ? NVML_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetAccountingStats(nvmlDevice_t handle, unsigned int pid, nvmlAccountingStats *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out && pid);
    for (int slot = 0; slot < SIM_MAX_ACCOUNTS; slot++) {
        const sim_account *each = &sim->ledgers[handle->index].accounts[slot];
        if (each->pid != pid) continue;
        double seconds = each->seconds > 0 ? each->seconds : 1;
        memset(out, 0, sizeof *out);
        out->gpuUtilization = (uint32_t)(each->busy / seconds);
        out->memoryUtilization = (uint32_t)(each->memory_busy / seconds);
        out->maxMemoryUsage = each->memory_bytes;
        out->startTime = each->start_us;
        out->isRunning = each->running;
        out->time = each->running ? 0 : (uint64_t)(each->seconds * 1000); /* milliseconds, 0 while it runs */
        return NVML_SUCCESS;
    }
    return NVML_NOT_FOUND;
}

/* The driver's buffer of readings, here the present one alone: a caller averages over what it is given. */
EXPORT nvmlReturn_t nvmlDeviceGetSamples(nvmlDevice_t handle, unsigned int type, unsigned long long last_seen,
                                         unsigned int *value_type, unsigned int *count, nvmlSample *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(value_type && count);
    const uint32_t values[] = {view.power_mw, view.util_gpu, view.util_memory, 0, 0, view.sm_clock, view.mem_clock};
    if (type > 6 || (view.mig_mode && (type == 1 || type == 2))) return NVML_NOT_SUPPORTED;
    *value_type = 1; /* unsigned int */
    uint64_t at = sim->header.clock_ns / 1000u;
    if (at <= last_seen) return NVML_NOT_FOUND;
    if (!out) {
        *count = 1;
        return NVML_SUCCESS;
    }
    if (*count < 1) return NVML_INSUFFICIENT_SIZE;
    *count = 1;
    *out = (nvmlSample){at, values[type]};
    return NVML_SUCCESS;
}
