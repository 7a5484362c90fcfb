/* Processes, XID events, and GPM (the interval counters of Hopper and later). */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* The processes of a device, or of the one compute instance that a MIG device's handle stands for. */
static nvmlReturn_t processes_of(const char *call, nvmlDevice_t handle, sim_process *found, uint32_t *have) {
    sim_device view;
    sim_gpu_instance instance;
    *have = 0;
    if (!sim_is_mig(handle)) {
        nvmlReturn_t code = sim_enter_device(call, handle, &view);
        if (code == NVML_SUCCESS) *have = sim_processes_on(handle->index, found, SIM_MAX_PROCESSES);
        return code;
    }
    nvmlReturn_t code = sim_enter_mig(call, handle, &view, &instance);
    if (code != NVML_SUCCESS) return code;
    uint32_t all = sim_processes_on(handle->index, found, SIM_MAX_PROCESSES);
    for (uint32_t each = 0; each < all; each++)
        if (found[each].gpu_instance == instance.id && found[each].compute_instance == (uint32_t)handle->compute)
            found[(*have)++] = found[each];
    return NVML_SUCCESS;
}

/* NVML's two-call protocol: too little room gives INSUFFICIENT_SIZE and the number needed. */
static nvmlReturn_t list_processes(const char *call, nvmlDevice_t handle, unsigned int *count, nvmlProcessInfo *out) {
    static _Thread_local sim_process found[SIM_MAX_PROCESSES];
    uint32_t have;
    nvmlReturn_t code = processes_of(call, handle, found, &have);
    if (code != NVML_SUCCESS) return code;
    REQUIRE(count);
    uint32_t room = *count;
    *count = have;
    if (have > room || (have && !out)) return NVML_INSUFFICIENT_SIZE;
    for (uint32_t each = 0; each < have; each++) {
        out[each].pid = found[each].pid;
        out[each].usedGpuMemory = found[each].memory_bytes;
        out[each].gpuInstanceId = found[each].gpu_instance;
        out[each].computeInstanceId = found[each].compute_instance;
    }
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t handle, unsigned int *count, nvmlProcessInfo *out) {
    return list_processes(__func__, handle, count, out);
}

EXPORT nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_t handle, unsigned int *count, nvmlProcessInfo *out) {
    return list_processes(__func__, handle, count, out);
}

#define NO_PROCESSES(function)                                                                             \
    EXPORT nvmlReturn_t function(nvmlDevice_t handle, unsigned int *count, nvmlProcessInfo *out) {         \
        static _Thread_local sim_process found[SIM_MAX_PROCESSES];                                         \
        uint32_t have;                                                                                     \
        nvmlReturn_t code = processes_of(__func__, handle, found, &have);                                  \
        if (code != NVML_SUCCESS) return code;                                                             \
        REQUIRE(count);                                                                                    \
        (void)out;                                                                                         \
        *count = 0;                                                                                        \
        return NVML_SUCCESS;                                                                               \
    }
NO_PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3)
NO_PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v2)
NO_PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v3)
NO_PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v2)

/* Only processes with non-zero use since `last_seen` (microseconds) have a sample; none at all is NOT_FOUND. */
EXPORT nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t handle, nvmlProcessUtilizationSample *out,
                                                    unsigned int *count, unsigned long long last_seen) {
    ENTER_DEVICE(handle, view);
    REQUIRE(count);
    static _Thread_local sim_process found[SIM_MAX_PROCESSES];
    uint32_t have = sim_processes_on(handle->index, found, SIM_MAX_PROCESSES), busy = 0, room = *count;
    for (uint32_t each = 0; each < have; each++)
        if (found[each].sm_util && found[each].util_us > last_seen) found[busy++] = found[each];
    if (!busy) return NVML_NOT_FOUND;
    *count = busy;
    if (!out || busy > room) return NVML_INSUFFICIENT_SIZE;
    for (uint32_t each = 0; each < busy; each++) {
        out[each] = (nvmlProcessUtilizationSample){.pid = found[each].pid, .timeStamp = found[each].util_us,
                                                   .smUtil = found[each].sm_util, .memUtil = found[each].mem_util};
    }
    return NVML_SUCCESS;
}

typedef struct event_set {
    uint64_t mask[SIM_MAX_DEVICES], from[SIM_MAX_DEVICES], cursor;
} event_set;

#define EVENT_TYPES 0xff9full /* what an H200 names under driver 580; raised here are XIDs alone */

EXPORT nvmlReturn_t nvmlEventSetCreate(event_set **out) {
    ENTER(SIM_ALL_DEVICES);
    REQUIRE(out);
    event_set *set = calloc(1, sizeof *set);
    if (!set) return NVML_MEMORY;
    set->cursor = __atomic_load_n(&sim->header.event_count, __ATOMIC_ACQUIRE);
    *out = set;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlEventSetFree(event_set *set) {
    ENTER(SIM_ALL_DEVICES);
    REQUIRE(set);
    free(set);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetSupportedEventTypes(nvmlDevice_t handle, unsigned long long *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out);
    *out = EVENT_TYPES;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t handle, unsigned long long types, event_set *set) {
    ENTER_DEVICE(handle, view);
    REQUIRE(set);
    if (types & ~EVENT_TYPES) return NVML_NOT_SUPPORTED;
    if (!set->mask[handle->index]) set->from[handle->index] = __atomic_load_n(&sim->header.event_count, __ATOMIC_ACQUIRE);
    set->mask[handle->index] |= types;
    return NVML_SUCCESS;
}

static int next_event(event_set *set, nvmlEventData *out) {
    uint64_t head = __atomic_load_n(&sim->header.event_count, __ATOMIC_ACQUIRE);
    if (head - set->cursor > SIM_MAX_EVENTS) set->cursor = head - SIM_MAX_EVENTS;
    while (set->cursor < head) {
        uint64_t number = set->cursor++;
        sim_event event = sim->events[number % SIM_MAX_EVENTS];
        if (event.device >= SIM_MAX_DEVICES || number < set->from[event.device]) continue;
        if (!(set->mask[event.device] & event.type)) continue;
        *out = (nvmlEventData){sim_handle_of(event.device), event.type, event.data, 0xFFFFFFFFu, 0xFFFFFFFFu};
        return 1;
    }
    return 0;
}

/* Blocks for its whole timeout, as the driver does. Once a watched device is lost, the set only fails. */
EXPORT nvmlReturn_t nvmlEventSetWait_v2(event_set *set, nvmlEventData *out, unsigned int timeout_ms) {
    ENTER(SIM_ALL_DEVICES);
    REQUIRE(set && out);
    uint64_t until = sim_now_us() + timeout_ms * 1000ULL;
    for (;;) {
        if (next_event(set, out)) return NVML_SUCCESS;
        for (uint32_t index = 0; index < sim->header.device_count; index++)
            if (set->mask[index] && sim->devices[index].lost) return NVML_GPU_IS_LOST;
        uint64_t now = sim_now_us();
        if (now >= until) return NVML_TIMEOUT;
        uint64_t left = (until - now + 999) / 1000;
        sim_sleep_ms(left < 50 ? left : 50);
    }
}

EXPORT nvmlReturn_t nvmlEventSetWait(event_set *set, nvmlEventData *out, unsigned int timeout_ms) {
    return nvmlEventSetWait_v2(set, out, timeout_ms);
}

EXPORT nvmlReturn_t nvmlGpmQueryDeviceSupport(nvmlDevice_t handle, nvmlGpmSupport *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out);
    if (out->version != 1) return NVML_ARGUMENT_VERSION_MISMATCH;
    out->isSupportedDevice = view.gpm_supported;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlGpmSampleAlloc(sim_device **out) {
    ENTER(SIM_ALL_DEVICES);
    REQUIRE(out);
    *out = calloc(1, sizeof **out);
    return *out ? NVML_SUCCESS : NVML_MEMORY;
}

EXPORT nvmlReturn_t nvmlGpmSampleFree(sim_device *sample) {
    ENTER(SIM_ALL_DEVICES);
    REQUIRE(sample);
    free(sample);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlGpmSampleGet(nvmlDevice_t handle, sim_device *sample) {
    ENTER_DEVICE(handle, view);
    REQUIRE(sample);
    if (!view.gpm_supported) return NVML_NOT_SUPPORTED;
    *sample = view;
    return NVML_SUCCESS;
}

/* The mean over the interval; between two ticks of the brain nothing has been counted yet, so the present value. */
static double mean(double before, double after, double seconds, double now) {
    return seconds > 0 ? (after - before) / seconds : now;
}

static void metric(nvmlGpmMetric *out, const sim_device *a, const sim_device *b) {
    double seconds = b->gpm_seconds - a->gpm_seconds;
    static const char *percent = "%", *rate = "MiB/s";
    const char *name = "", *unit = percent;
    out->nvmlReturn = NVML_SUCCESS;
#define METRIC(id, field, text, measure)                                       \
    case id:                                                                   \
        out->value = mean(a->field, b->field, seconds, b->now_##field);        \
        name = text;                                                           \
        unit = measure;                                                        \
        break;
    switch (out->metricId) {
        METRIC(1, graphics, "GRAPHICS_UTIL", percent)
        METRIC(2, sm, "SM_UTIL", percent)
        METRIC(3, occupancy, "SM_OCCUPANCY", percent)
        METRIC(5, tensor, "ANY_TENSOR_UTIL", percent)
        METRIC(10, dram, "DRAM_BW_UTIL", percent)
        METRIC(20, pcie_tx, "PCIE_TX_PER_SEC", rate)
        METRIC(21, pcie_rx, "PCIE_RX_PER_SEC", rate)
        METRIC(60, nvlink_rx, "NVLINK_TOTAL_RX_PER_SEC", rate)
        METRIC(61, nvlink_tx, "NVLINK_TOTAL_TX_PER_SEC", rate)
        default: out->nvmlReturn = NVML_NOT_SUPPORTED; out->value = 0;
    }
    out->shortName = out->longName = (void *)name;
    out->unit = (void *)unit;
}

/* Only numMetrics elements are touched: the array's length differs between releases of the headers. */
EXPORT nvmlReturn_t nvmlGpmMetricsGet(nvmlGpmMetricsGet_t *get) {
    ENTER(SIM_ALL_DEVICES);
    REQUIRE(get && get->sample1 && get->sample2);
    if (get->version != 1) return NVML_ARGUMENT_VERSION_MISMATCH;
    for (uint32_t each = 0; each < get->numMetrics; each++) metric(&get->metrics[each], get->sample1, get->sample2);
    return NVML_SUCCESS;
}
