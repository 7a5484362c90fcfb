/* The node and its devices: identity, memory, load, clocks, power, links, settings. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "internal.h"

#define GET_U32(function, expression)                                        \
    EXPORT nvmlReturn_t function(nvmlDevice_t handle, unsigned int *out) {   \
        ENTER_DEVICE(handle, view);                                          \
        REQUIRE(out);                                                        \
        *out = (expression);                                                 \
        return NVML_SUCCESS;                                                 \
    }
#define GET_U32_IF(function, supported, expression)                          \
    EXPORT nvmlReturn_t function(nvmlDevice_t handle, unsigned int *out) {   \
        ENTER_DEVICE(handle, view);                                          \
        REQUIRE(out);                                                        \
        if (!(supported)) return NVML_NOT_SUPPORTED;                         \
        *out = (expression);                                                 \
        return NVML_SUCCESS;                                                 \
    }
#define GET_U64(function, expression)                                              \
    EXPORT nvmlReturn_t function(nvmlDevice_t handle, unsigned long long *out) {   \
        ENTER_DEVICE(handle, view);                                                \
        REQUIRE(out);                                                              \
        *out = (expression);                                                       \
        return NVML_SUCCESS;                                                       \
    }
#define GET_PAIR(function, supported, first, second)                                                   \
    EXPORT nvmlReturn_t function(nvmlDevice_t handle, unsigned int *one, unsigned int *two) {          \
        ENTER_DEVICE(handle, view);                                                                    \
        REQUIRE(one && two);                                                                           \
        if (!(supported)) return NVML_NOT_SUPPORTED;                                                   \
        *one = (first);                                                                                \
        *two = (second);                                                                               \
        return NVML_SUCCESS;                                                                           \
    }
#define GET_TEXT(function, field)                                                              \
    EXPORT nvmlReturn_t function(nvmlDevice_t handle, char *out, unsigned int length) {        \
        ENTER_DEVICE(handle, view);                                                            \
        return sim_copy_text(out, length, view.field);                                         \
    }
#define SYSTEM_TEXT(function, field)                                             \
    EXPORT nvmlReturn_t function(char *out, unsigned int length) {               \
        ENTER(SIM_ALL_DEVICES);                                                  \
        return sim_copy_text(out, length, sim->header.field);                    \
    }

SYSTEM_TEXT(nvmlSystemGetDriverVersion, driver_version)
SYSTEM_TEXT(nvmlSystemGetNVMLVersion, nvml_version)
GET_TEXT(nvmlDeviceGetSerial, serial)
GET_TEXT(nvmlDeviceGetVbiosVersion, vbios)
GET_TEXT(nvmlDeviceGetInforomImageVersion, inforom)
GET_TEXT(nvmlDeviceGetBoardPartNumber, part_number)
GET_U32(nvmlDeviceGetIndex, handle->index)
GET_U32(nvmlDeviceGetMinorNumber, view.minor_number)
GET_U32(nvmlDeviceGetModuleId, view.module_id)
GET_U32(nvmlDeviceGetNumaNodeId, view.numa_node)
GET_U32(nvmlDeviceGetBrand, view.brand)
GET_U32(nvmlDeviceGetArchitecture, view.architecture)
GET_U32(nvmlDeviceGetPowerUsage, view.power_mw)
GET_U64(nvmlDeviceGetTotalEnergyConsumption, view.energy_mj)
GET_U32(nvmlDeviceGetPerformanceState, view.pstate)
GET_U32(nvmlDeviceGetPowerState, view.pstate)
GET_U64(nvmlDeviceGetCurrentClocksEventReasons, view.clock_event_reasons)
GET_U64(nvmlDeviceGetCurrentClocksThrottleReasons, view.clock_event_reasons)
GET_U64(nvmlDeviceGetSupportedClocksEventReasons, 0x1ff)
GET_U64(nvmlDeviceGetSupportedClocksThrottleReasons, 0x1ff)
GET_PAIR(nvmlDeviceGetCudaComputeCapability, 1, view.cc_major, view.cc_minor)
GET_PAIR(nvmlDeviceGetEccMode, 1, view.ecc_mode, view.ecc_pending)
GET_PAIR(nvmlDeviceGetMigMode, view.mig_capable, view.mig_mode, view.mig_mode)
GET_PAIR(nvmlDeviceGetPowerManagementLimitConstraints, 1, view.power_min_mw, view.power_max_mw)
GET_U32_IF(nvmlDeviceGetMaxMigDeviceCount, view.mig_capable, view.mig_mode ? 7 : 0)
GET_U32(nvmlDeviceGetMultiGpuBoard, 0)
GET_U32(nvmlDeviceGetDisplayActive, 0)
GET_U32(nvmlDeviceGetDisplayMode, 0)
GET_U32(nvmlDeviceGetAccountingMode, view.accounting_mode)
GET_U32(nvmlDeviceGetPersistenceMode, view.persistence_mode)
GET_U32(nvmlDeviceGetComputeMode, view.compute_mode)
GET_U32(nvmlDeviceGetPowerManagementMode, 1)
GET_U32(nvmlDeviceGetPowerManagementLimit, view.power_limit_mw)
GET_U32(nvmlDeviceGetPowerManagementDefaultLimit, view.power_default_mw)
GET_U32(nvmlDeviceGetEnforcedPowerLimit, view.power_limit_mw)
GET_U32(nvmlDeviceGetCurrPcieLinkGeneration, view.pcie_gen)
GET_U32(nvmlDeviceGetMaxPcieLinkGeneration, view.pcie_gen_max)
GET_U32(nvmlDeviceGetCurrPcieLinkWidth, view.pcie_width)
GET_U32(nvmlDeviceGetMaxPcieLinkWidth, view.pcie_width_max)
GET_U32(nvmlDeviceGetPcieReplayCounter, view.pcie_replay)
GET_U32_IF(nvmlDeviceGetFanSpeed, 0, 0) /* passively cooled server boards */
GET_U32_IF(nvmlDeviceGetRetiredPagesPendingStatus, view.page_retirement_supported, view.retired_pending)

EXPORT nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t handle, char *out, unsigned int length) {
    if (sim_is_mig(handle)) return sim_mig_uuid(handle, out, length);
    ENTER_DEVICE(handle, view);
    return sim_copy_text(out, length, view.uuid);
}

EXPORT nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t handle, char *out, unsigned int length) {
    if (sim_is_mig(handle)) return sim_mig_name(handle, out, length);
    ENTER_DEVICE(handle, view);
    return sim_copy_text(out, length, view.name);
}

EXPORT nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *out) {
    ENTER(SIM_ALL_DEVICES);
    REQUIRE(out);
    *out = (int)sim->header.cuda_version;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *out) { return nvmlSystemGetCudaDriverVersion_v2(out); }

EXPORT nvmlReturn_t nvmlSystemGetProcessName(unsigned int pid, char *out, unsigned int length) {
    ENTER(SIM_ALL_DEVICES);
    REQUIRE(out && length);
    char path[32];
    snprintf(path, sizeof path, "/proc/%u/cmdline", pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return NVML_NOT_FOUND;
    ssize_t size = read(file, out, length - 1);
    close(file);
    if (size < 0) return NVML_NOT_FOUND;
    out[size] = 0; /* the first argument ends at its own NUL */
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *out) {
    ENTER(SIM_ALL_DEVICES);
    REQUIRE(out);
    *out = sim->header.device_count;
    return NVML_SUCCESS;
}

static nvmlReturn_t give_handle(uint32_t index, nvmlDevice_t *out) {
    sim_device *device = &sim->devices[index];
    if (device->lost) return device->lost_code ? (nvmlReturn_t)device->lost_code : NVML_GPU_IS_LOST;
    *out = sim_handle_of(index);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *out) {
    ENTER(index);
    REQUIRE(out && index < sim->header.device_count);
    return give_handle(index, out);
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *out) {
    ENTER(SIM_ALL_DEVICES);
    REQUIRE(uuid && out);
    if (strncmp(uuid, "MIG-", 4) == 0) return sim_mig_by_uuid(uuid, out);
    for (uint32_t index = 0; index < sim->header.device_count; index++)
        if (strcmp(sim->devices[index].uuid, uuid) == 0) return give_handle(index, out);
    return NVML_NOT_FOUND;
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleBySerial(const char *serial, nvmlDevice_t *out) {
    ENTER(SIM_ALL_DEVICES);
    REQUIRE(serial && out);
    for (uint32_t index = 0; index < sim->header.device_count; index++)
        if (strcmp(sim->devices[index].serial, serial) == 0) return give_handle(index, out);
    return NVML_NOT_FOUND;
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, nvmlDevice_t *out) {
    ENTER(SIM_ALL_DEVICES);
    REQUIRE(bus_id && out);
    for (uint32_t index = 0; index < sim->header.device_count; index++) {
        sim_device *device = &sim->devices[index];
        if (!strcasecmp(device->bus_id, bus_id) || !strcasecmp(device->bus_id_legacy, bus_id)) return give_handle(index, out);
    }
    return NVML_NOT_FOUND;
}

EXPORT nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t handle, nvmlPciInfo *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out);
    memcpy(out->busIdLegacy, view.bus_id_legacy, sizeof out->busIdLegacy);
    memcpy(out->busId, view.bus_id, sizeof out->busId);
    out->domain = view.pci_domain;
    out->bus = view.pci_bus;
    out->device = view.pci_device;
    out->pciDeviceId = view.pci_device_id;
    out->pciSubSystemId = view.pci_subsystem_id;
    return NVML_SUCCESS;
}

/* v1 counts the driver's reserve as used, v2 shows it apart. */
EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t handle, nvmlMemory *out) {
    if (sim_is_mig(handle)) {
        REQUIRE(out);
        nvmlReturn_t code = sim_mig_memory(__func__, handle, &out->total, &out->used);
        out->free = out->total - out->used;
        return code;
    }
    ENTER_DEVICE(handle, view);
    REQUIRE(out);
    out->total = view.memory_total;
    out->used = view.memory_reserved + sim_memory_held(handle->index, &view);
    out->free = out->total - out->used;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t handle, nvmlMemory_v2 *out) {
    if (sim_is_mig(handle)) {
        REQUIRE(out);
        if (out->version != (sizeof *out | 2u << 24)) return NVML_ARGUMENT_VERSION_MISMATCH;
        nvmlReturn_t code = sim_mig_memory(__func__, handle, &out->total, &out->used);
        out->reserved = 0;
        out->free = out->total - out->used;
        return code;
    }
    ENTER_DEVICE(handle, view);
    REQUIRE(out);
    if (out->version != (sizeof *out | 2u << 24)) return NVML_ARGUMENT_VERSION_MISMATCH;
    out->total = view.memory_total;
    out->reserved = view.memory_reserved;
    out->used = sim_memory_held(handle->index, &view);
    out->free = out->total - out->reserved - out->used;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetBAR1MemoryInfo(nvmlDevice_t handle, nvmlBAR1Memory *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out);
    out->total = view.bar1_total;
    out->used = 1u << 20;
    out->free = out->total - out->used;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t handle, nvmlUtilization *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out);
    if (view.mig_mode) return NVML_NOT_SUPPORTED;
    out->gpu = view.util_gpu;
    out->memory = view.util_memory;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t handle, unsigned int sensor, unsigned int *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out && sensor == 0);
    *out = view.temperature_c;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetTemperatureV(nvmlDevice_t handle, nvmlTemperature_v1 *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out && out->sensorType == 0);
    if (out->version != (sizeof *out | 1u << 24)) return NVML_ARGUMENT_VERSION_MISMATCH;
    out->temperature = (int32_t)view.temperature_c;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetTemperatureThreshold(nvmlDevice_t handle, unsigned int which, unsigned int *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out && which < 8);
    const uint32_t limits[4] = {view.temp_shutdown, view.temp_slowdown, 95, view.temp_max};
    if (which > 3) return NVML_NOT_SUPPORTED;
    *out = limits[which];
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t handle, unsigned int type, unsigned int *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out && type < 4);
    *out = type == 2 ? view.mem_clock : type == 3 ? view.sm_clock * 9 / 10 : view.sm_clock;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t handle, unsigned int type, unsigned int *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out && type < 4);
    *out = type == 2 ? view.mem_clock_max : type == 3 ? view.sm_clock_max * 9 / 10 : view.sm_clock_max;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t one, nvmlDevice_t two, unsigned int *out) {
    ENTER_DEVICE(one, first);
    REQUIRE(out && two);
    ENTER_DEVICE(two, second);
    *out = one == two ? 0 : first.numa_node == second.numa_node ? 40 : 50; /* INTERNAL, NODE, SYSTEM */
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetNvLinkState(nvmlDevice_t handle, unsigned int link, unsigned int *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out);
    if (!view.nvlink_count) return NVML_NOT_SUPPORTED;
    REQUIRE(link < view.nvlink_count);
    *out = !(view.nvlink_down_mask >> link & 1u);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetNvLinkVersion(nvmlDevice_t handle, unsigned int link, unsigned int *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out);
    if (!view.nvlink_count) return NVML_NOT_SUPPORTED;
    REQUIRE(link < view.nvlink_count);
    *out = view.nvlink_version;
    return NVML_SUCCESS;
}

/* Versions 2 and 3 begin alike. Mask: no degraded bandwidth, no route trouble, configuration right, partition given. */
EXPORT nvmlReturn_t nvmlDeviceGetGpuFabricInfoV(nvmlDevice_t handle, nvmlGpuFabricInfo_v3 *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out);
    int third = out->version == (sizeof *out | 3u << 24);
    if (!third && out->version != (sizeof(nvmlGpuFabricInfo_v2) | 2u << 24)) return NVML_ARGUMENT_VERSION_MISMATCH;
    memset(out->clusterUuid, 0, sizeof out->clusterUuid);
    out->status = NVML_SUCCESS;
    out->cliqueId = 0;
    out->state = view.fabric_state;
    out->healthMask = view.fabric_state ? 0x11aau : 0;
    if (third) out->healthSummary = view.fabric_state ? 1 : 0;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceSetPersistenceMode(nvmlDevice_t handle, unsigned int mode) {
    ENTER_DEVICE(handle, view);
    REQUIRE(mode < 2);
    nvmlReturn_t code = sim_require_root();
    if (code == NVML_SUCCESS) __atomic_store_n(&sim->devices[handle->index].persistence_mode, mode, __ATOMIC_RELEASE);
    return code;
}

EXPORT nvmlReturn_t nvmlDeviceSetComputeMode(nvmlDevice_t handle, unsigned int mode) {
    ENTER_DEVICE(handle, view);
    REQUIRE(mode < 4);
    if (mode == 1) return NVML_NOT_SUPPORTED; /* exclusive-thread was taken out */
    nvmlReturn_t code = sim_require_root();
    if (code == NVML_SUCCESS) __atomic_store_n(&sim->devices[handle->index].compute_mode, mode, __ATOMIC_RELEASE);
    return code;
}

EXPORT nvmlReturn_t nvmlDeviceSetPowerManagementLimit(nvmlDevice_t handle, unsigned int limit_mw) {
    ENTER_DEVICE(handle, view);
    REQUIRE(limit_mw >= view.power_min_mw && limit_mw <= view.power_max_mw);
    nvmlReturn_t code = sim_require_root();
    if (code == NVML_SUCCESS) __atomic_store_n(&sim->devices[handle->index].power_limit_mw, limit_mw, __ATOMIC_RELEASE);
    return code;
}
