/* MIG: cutting a device into GPU instances, those into compute instances, and the devices that come of it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

#define PER_DEVICE (SIM_MAX_INSTANCES * SIM_MAX_INSTANCES)
static struct sim_handle gpu_handles[SIM_MAX_DEVICES][SIM_MAX_INSTANCES];
static struct sim_handle mig_handles[SIM_MAX_DEVICES][PER_DEVICE]; /* a compute instance, and the device it makes */
static const uint32_t compute_slices[] = {1, 2, 3, 4, 7}; /* by NVML_COMPUTE_INSTANCE_PROFILE_* */

__attribute__((constructor)) static void prepare(void) {
    for (uint32_t d = 0; d < SIM_MAX_DEVICES; d++)
        for (int32_t g = 0; g < SIM_MAX_INSTANCES; g++) {
            gpu_handles[d][g] = (struct sim_handle){d, g, -1};
            for (int32_t c = 0; c < SIM_MAX_INSTANCES; c++)
                mig_handles[d][g * SIM_MAX_INSTANCES + c] = (struct sim_handle){d, g, c};
        }
}

int sim_is_mig(nvmlDevice_t handle) {
    return handle >= &mig_handles[0][0] && handle < &mig_handles[0][0] + SIM_MAX_DEVICES * PER_DEVICE;
}
nvmlDevice_t sim_mig_handle(uint32_t device, int32_t instance, int32_t compute) {
    return &mig_handles[device][instance * SIM_MAX_INSTANCES + compute];
}
static int is_gpu_instance(nvmlDevice_t handle) {
    return handle >= &gpu_handles[0][0] && handle < &gpu_handles[0][0] + SIM_MAX_DEVICES * SIM_MAX_INSTANCES;
}
static sim_gpu_instance *instance_at(uint32_t device, int32_t slot) { return &sim->partitions[device].instances[slot]; }

/* compute < 0 in the handle: a GPU instance. */
static nvmlReturn_t enter_instance(const char *call, nvmlDevice_t handle, sim_device *view, sim_gpu_instance *out) {
    if (!sim_is_mig(handle) && !is_gpu_instance(handle)) return NVML_INVALID_ARGUMENT;
    nvmlReturn_t code = sim_enter_device(call, sim_handle_of(handle->index), view);
    if (code != NVML_SUCCESS) return code;
    *out = *instance_at(handle->index, handle->instance);
    if (!out->in_use || (handle->compute >= 0 && !out->compute[handle->compute].in_use)) return NVML_NOT_FOUND;
    return NVML_SUCCESS;
}
nvmlReturn_t sim_enter_mig(const char *call, nvmlDevice_t handle, sim_device *view, sim_gpu_instance *out) {
    return sim_is_mig(handle) ? enter_instance(call, handle, view, out) : NVML_INVALID_ARGUMENT;
}

#define ENTER_INSTANCE(handle, is_kind)                                              \
    sim_device view;                                                                 \
    sim_gpu_instance instance;                                                       \
    REQUIRE(is_kind(handle));                                                        \
    nvmlReturn_t entered = enter_instance(__func__, (handle), &view, &instance);     \
    if (entered != NVML_SUCCESS) return entered;                                     \
    const sim_mig_profile *profile = &sim->mig_profiles[instance.profile];           \
    (void)profile
#define ENTER_CUT(handle)                                   \
    ENTER_DEVICE(handle, view);                             \
    if (!view.mig_capable) return NVML_NOT_SUPPORTED
#define MIG_ON()                                      \
    do {                                              \
        if (!view.mig_mode) return NVML_NOT_SUPPORTED; \
    } while (0)
#define ROOT()                                          \
    do {                                                \
        nvmlReturn_t may = sim_require_root();          \
        if (may != NVML_SUCCESS) return may;            \
    } while (0)

/* ---- the kinds of GPU instances ---- */

static int by_kind(unsigned int kind) {
    for (int row = 0; row < SIM_MAX_MIG_PROFILES; row++)
        if (sim->mig_profiles[row].slices && sim->mig_profiles[row].kind == kind) return row;
    return -1;
}
static int by_id(unsigned int id) {
    for (int row = 0; row < SIM_MAX_MIG_PROFILES; row++)
        if (sim->mig_profiles[row].slices && sim->mig_profiles[row].id == id) return row;
    return -1;
}

static uint32_t taken(uint32_t device) {
    uint32_t mask = 0;
    for (int slot = 0; slot < SIM_MAX_INSTANCES; slot++) {
        const sim_gpu_instance *each = instance_at(device, slot);
        if (each->in_use) mask |= ((1u << sim->mig_profiles[each->profile].size) - 1) << each->start;
    }
    return mask;
}

/* How many more of a kind fit; *first is where the next one goes, below 0 where none does. */
static unsigned int room(uint32_t device, int row, int *first) {
    const sim_mig_profile *profile = &sim->mig_profiles[row];
    uint32_t mask = taken(device), fits = 0, have = 0;
    *first = -1;
    for (int slot = 0; slot < SIM_MAX_INSTANCES; slot++)
        have += instance_at(device, slot)->in_use && instance_at(device, slot)->profile == (uint32_t)row;
    for (int start = 0; start < 8 && have + fits < profile->count; start++) {
        uint32_t need = ((1u << profile->size) - 1) << start;
        if (!(profile->starts >> start & 1u) || mask & need) continue;
        if (*first < 0) *first = start;
        mask |= need;
        fits++;
    }
    return fits;
}

EXPORT nvmlReturn_t nvmlDeviceGetGpuInstanceProfileInfo(nvmlDevice_t handle, unsigned int kind, nvmlGpuInstanceProfileInfo *out) {
    ENTER_CUT(handle);
    REQUIRE(out);
    int row = by_kind(kind);
    if (row < 0) return NVML_NOT_SUPPORTED;
    const sim_mig_profile *p = &sim->mig_profiles[row];
    *out = (nvmlGpuInstanceProfileInfo){p->id, 0, p->slices, p->count, p->sms, p->copies, p->decoders,
                                        p->encoders, p->jpegs, p->ofas, p->memory_mib};
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetGpuInstanceProfileInfoV(nvmlDevice_t handle, unsigned int kind, nvmlGpuInstanceProfileInfo_v2 *out) {
    ENTER_CUT(handle);
    REQUIRE(out);
    if (out->version != (sizeof *out | 2u << 24)) return NVML_ARGUMENT_VERSION_MISMATCH;
    int row = by_kind(kind);
    if (row < 0) return NVML_NOT_SUPPORTED;
    const sim_mig_profile *p = &sim->mig_profiles[row];
    *out = (nvmlGpuInstanceProfileInfo_v2){out->version, p->id, 0, p->slices, p->count, p->sms, p->copies, p->decoders,
                                           p->encoders, p->jpegs, p->ofas, p->memory_mib, ""};
    snprintf(out->name, sizeof out->name, "MIG %s", p->name);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetGpuInstanceRemainingCapacity(nvmlDevice_t handle, unsigned int id, unsigned int *out) {
    ENTER_CUT(handle);
    ROOT();
    MIG_ON();
    int row = by_id(id), first;
    REQUIRE(out && row >= 0);
    *out = room(handle->index, row, &first);
    return NVML_SUCCESS;
}

/* nvml.h: asked whether MIG is on or not, and by privileged users alone. */
EXPORT nvmlReturn_t nvmlDeviceGetGpuInstancePossiblePlacements_v2(nvmlDevice_t handle, unsigned int id,
                                                                  nvmlGpuInstancePlacement *out, unsigned int *count) {
    ENTER_CUT(handle);
    ROOT();
    int row = by_id(id);
    REQUIRE(count && row >= 0);
    const sim_mig_profile *profile = &sim->mig_profiles[row];
    unsigned int have = (unsigned int)__builtin_popcount(profile->starts), space = *count, at = 0;
    *count = have;
    if (!out) return NVML_SUCCESS;
    if (have > space) return NVML_INSUFFICIENT_SIZE;
    for (uint32_t start = 0; start < 8; start++)
        if (profile->starts >> start & 1u) out[at++] = (nvmlGpuInstancePlacement){start, profile->size};
    return NVML_SUCCESS;
}

/* ---- the mode ---- */

/* A driver may leave the change pending until a reset; here it takes hold at once. */
EXPORT nvmlReturn_t nvmlDeviceSetMigMode(nvmlDevice_t handle, unsigned int mode, nvmlReturn_t *activation) {
    ENTER_DEVICE(handle, view);
    REQUIRE(activation && mode < 2);
    ROOT();
    if (!view.mig_capable) return NVML_NOT_SUPPORTED;
    static _Thread_local sim_process found[SIM_MAX_PROCESSES];
    int lock = sim_lock();
    nvmlReturn_t code = NVML_SUCCESS;
    if (view.mig_mode != mode && (sim_processes_on(handle->index, found, SIM_MAX_PROCESSES) || taken(handle->index))) code = NVML_IN_USE;
    if (code == NVML_SUCCESS) {
        __atomic_store_n(&sim->devices[handle->index].mig_mode, mode, __ATOMIC_RELEASE);
        if (mode) __atomic_store_n(&sim->devices[handle->index].accounting_mode, 0, __ATOMIC_RELEASE);
    }
    if (lock >= 0) close(lock);
    *activation = code;
    return code;
}

/* ---- GPU instances ---- */

/* As the driver numbers them: by kind and place, so that the same cut gives the same ids. */
static uint32_t number_of(const sim_mig_profile *profile, uint32_t start) {
    if (profile->size == 8) return 0;
    if (profile->size == 4) return 1 + start / 4;
    if (profile->size == 2) return (profile->slices == 2 ? 3 : 15) + start / 2;
    return 7 + start;
}

static nvmlReturn_t create(uint32_t device, int row, int start, nvmlDevice_t *out) {
    const sim_mig_profile *profile = &sim->mig_profiles[row];
    int first, lock = sim_lock();
    nvmlReturn_t code = NVML_INSUFFICIENT_RESOURCES;
    if (room(device, row, &first)) {
        if (start < 0) start = first;
        uint32_t need = ((1u << profile->size) - 1) << start;
        for (int slot = 0; slot < SIM_MAX_INSTANCES && !(taken(device) & need); slot++) {
            sim_gpu_instance *each = instance_at(device, slot);
            if (each->in_use) continue;
            *each = (sim_gpu_instance){.id = number_of(profile, (uint32_t)start), .profile = (uint32_t)row, .start = (uint32_t)start};
            __atomic_store_n(&each->in_use, 1, __ATOMIC_RELEASE);
            *out = &gpu_handles[device][slot];
            code = NVML_SUCCESS;
            break;
        }
    }
    if (lock >= 0) close(lock);
    return code;
}

EXPORT nvmlReturn_t nvmlDeviceCreateGpuInstance(nvmlDevice_t handle, unsigned int id, nvmlDevice_t *out) {
    ENTER_CUT(handle);
    ROOT();
    MIG_ON();
    int row = by_id(id);
    REQUIRE(out && row >= 0);
    return create(handle->index, row, -1, out);
}

EXPORT nvmlReturn_t nvmlDeviceCreateGpuInstanceWithPlacement(nvmlDevice_t handle, unsigned int id,
                                                             const nvmlGpuInstancePlacement *place, nvmlDevice_t *out) {
    ENTER_CUT(handle);
    ROOT();
    MIG_ON();
    int row = by_id(id);
    REQUIRE(out && place && row >= 0 && place->start < 8 && sim->mig_profiles[row].starts >> place->start & 1u);
    return create(handle->index, row, (int)place->start, out);
}

static int occupied(uint32_t device, uint32_t gpu_id, int32_t compute) {
    static _Thread_local sim_process found[SIM_MAX_PROCESSES];
    uint32_t have = sim_processes_on(device, found, SIM_MAX_PROCESSES);
    for (uint32_t each = 0; each < have; each++)
        if (found[each].gpu_instance == gpu_id && (compute < 0 || found[each].compute_instance == (uint32_t)compute)) return 1;
    return 0;
}

EXPORT nvmlReturn_t nvmlGpuInstanceDestroy(nvmlDevice_t handle) {
    ENTER_INSTANCE(handle, is_gpu_instance);
    ROOT();
    int lock = sim_lock();
    nvmlReturn_t code = NVML_SUCCESS;
    sim_gpu_instance *mine = instance_at(handle->index, handle->instance);
    for (int slot = 0; slot < SIM_MAX_INSTANCES; slot++)
        if (mine->compute[slot].in_use) code = NVML_IN_USE;
    if (code == NVML_SUCCESS) __atomic_store_n(&mine->in_use, 0, __ATOMIC_RELEASE);
    if (lock >= 0) close(lock);
    return code;
}

EXPORT nvmlReturn_t nvmlDeviceGetGpuInstances(nvmlDevice_t handle, unsigned int id, nvmlDevice_t *out, unsigned int *count) {
    ENTER_CUT(handle);
    ROOT();
    MIG_ON();
    int row = by_id(id);
    REQUIRE(out && count && row >= 0);
    *count = 0;
    for (int slot = 0; slot < SIM_MAX_INSTANCES; slot++) {
        const sim_gpu_instance *each = instance_at(handle->index, slot);
        if (each->in_use && each->profile == (uint32_t)row) out[(*count)++] = &gpu_handles[handle->index][slot];
    }
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetGpuInstanceById(nvmlDevice_t handle, unsigned int id, nvmlDevice_t *out) {
    ENTER_CUT(handle);
    ROOT();
    MIG_ON();
    REQUIRE(out);
    for (int slot = 0; slot < SIM_MAX_INSTANCES; slot++) {
        const sim_gpu_instance *each = instance_at(handle->index, slot);
        if (!each->in_use || each->id != id) continue;
        *out = &gpu_handles[handle->index][slot];
        return NVML_SUCCESS;
    }
    return NVML_NOT_FOUND;
}

EXPORT nvmlReturn_t nvmlGpuInstanceGetInfo(nvmlDevice_t handle, nvmlGpuInstanceInfo *out) {
    ENTER_INSTANCE(handle, is_gpu_instance);
    REQUIRE(out);
    *out = (nvmlGpuInstanceInfo){sim_handle_of(handle->index), instance.id, profile->id, {instance.start, profile->size}};
    return NVML_SUCCESS;
}

/* ---- compute instances ---- */

static uint32_t computing(const sim_gpu_instance *instance) {
    uint32_t mask = 0;
    for (int slot = 0; slot < SIM_MAX_INSTANCES; slot++) {
        const sim_compute_instance *each = &instance->compute[slot];
        if (each->in_use) mask |= ((1u << each->slices) - 1) << each->start;
    }
    return mask;
}

/* A 4g instance has no 3c kind, a 7g one has all. */
static int offers(const sim_mig_profile *profile, unsigned int kind) {
    return kind < 5 && compute_slices[kind] <= profile->slices && !(profile->slices == 4 && kind == 2);
}

static unsigned int compute_room(const sim_gpu_instance *instance, uint32_t total, uint32_t slices, int *first) {
    uint32_t mask = computing(instance), fits = 0;
    *first = -1;
    for (uint32_t start = 0; start + slices <= total; start++) {
        uint32_t need = ((1u << slices) - 1) << start;
        if (mask & need) continue;
        if (*first < 0) *first = (int)start;
        mask |= need;
        fits++;
    }
    return fits;
}

EXPORT nvmlReturn_t nvmlGpuInstanceGetComputeInstanceProfileInfo(nvmlDevice_t handle, unsigned int kind, unsigned int engine,
                                                                 nvmlComputeInstanceProfileInfo *out) {
    ENTER_INSTANCE(handle, is_gpu_instance);
    REQUIRE(out && engine == 0);
    if (!offers(profile, kind)) return NVML_NOT_SUPPORTED;
    uint32_t slices = compute_slices[kind];
    *out = (nvmlComputeInstanceProfileInfo){kind, slices, profile->slices / slices, profile->sms * slices / profile->slices,
                                            profile->copies, profile->decoders, profile->encoders, profile->jpegs, profile->ofas};
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlGpuInstanceGetComputeInstanceProfileInfoV(nvmlDevice_t handle, unsigned int kind, unsigned int engine,
                                                                  nvmlComputeInstanceProfileInfo_v2 *out) {
    REQUIRE(out);
    if (out->version != (sizeof *out | 2u << 24)) return NVML_ARGUMENT_VERSION_MISMATCH;
    nvmlComputeInstanceProfileInfo first;
    nvmlReturn_t code = nvmlGpuInstanceGetComputeInstanceProfileInfo(handle, kind, engine, &first);
    if (code != NVML_SUCCESS) return code;
    memcpy(&out->id, &first, sizeof first);
    const sim_mig_profile *profile = &sim->mig_profiles[instance_at(handle->index, handle->instance)->profile];
    if (first.sliceCount == profile->slices) snprintf(out->name, sizeof out->name, "MIG %s", profile->name);
    else snprintf(out->name, sizeof out->name, "MIG %uc.%s", first.sliceCount, profile->name);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlGpuInstanceGetComputeInstanceRemainingCapacity(nvmlDevice_t handle, unsigned int kind, unsigned int *out) {
    ENTER_INSTANCE(handle, is_gpu_instance);
    ROOT();
    int first;
    REQUIRE(out && offers(profile, kind));
    *out = compute_room(&instance, profile->slices, compute_slices[kind], &first);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlGpuInstanceCreateComputeInstance(nvmlDevice_t handle, unsigned int kind, nvmlDevice_t *out) {
    ENTER_INSTANCE(handle, is_gpu_instance);
    ROOT();
    REQUIRE(out && offers(profile, kind));
    int first, lock = sim_lock();
    nvmlReturn_t code = NVML_INSUFFICIENT_RESOURCES;
    sim_gpu_instance *mine = instance_at(handle->index, handle->instance);
    if (mine->in_use && compute_room(mine, profile->slices, compute_slices[kind], &first)) {
        for (int slot = 0; slot < SIM_MAX_INSTANCES; slot++) {
            if (mine->compute[slot].in_use) continue;
            mine->compute[slot] = (sim_compute_instance){1, kind, compute_slices[kind], (uint32_t)first};
            *out = &mig_handles[handle->index][handle->instance * SIM_MAX_INSTANCES + slot];
            code = NVML_SUCCESS;
            break;
        }
    }
    if (lock >= 0) close(lock);
    return code;
}

EXPORT nvmlReturn_t nvmlComputeInstanceDestroy(nvmlDevice_t handle) {
    ENTER_INSTANCE(handle, sim_is_mig);
    ROOT();
    int lock = sim_lock(), busy = occupied(handle->index, instance.id, handle->compute);
    if (!busy) instance_at(handle->index, handle->instance)->compute[handle->compute].in_use = 0;
    if (lock >= 0) close(lock);
    return busy ? NVML_IN_USE : NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlGpuInstanceGetComputeInstances(nvmlDevice_t handle, unsigned int kind, nvmlDevice_t *out, unsigned int *count) {
    ENTER_INSTANCE(handle, is_gpu_instance);
    ROOT();
    REQUIRE(out && count);
    *count = 0;
    for (int slot = 0; slot < SIM_MAX_INSTANCES; slot++)
        if (instance.compute[slot].in_use && instance.compute[slot].kind == kind)
            out[(*count)++] = &mig_handles[handle->index][handle->instance * SIM_MAX_INSTANCES + slot];
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlGpuInstanceGetComputeInstanceById(nvmlDevice_t handle, unsigned int id, nvmlDevice_t *out) {
    ENTER_INSTANCE(handle, is_gpu_instance);
    ROOT();
    REQUIRE(out);
    if (id >= SIM_MAX_INSTANCES || !instance.compute[id].in_use) return NVML_NOT_FOUND;
    *out = &mig_handles[handle->index][handle->instance * SIM_MAX_INSTANCES + (int)id];
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlComputeInstanceGetInfo_v2(nvmlDevice_t handle, nvmlComputeInstanceInfo *out) {
    ENTER_INSTANCE(handle, sim_is_mig);
    REQUIRE(out);
    const sim_compute_instance *mine = &instance.compute[handle->compute];
    *out = (nvmlComputeInstanceInfo){sim_handle_of(handle->index), &gpu_handles[handle->index][handle->instance],
                                     (uint32_t)handle->compute, mine->kind, {mine->start, mine->slices}};
    return NVML_SUCCESS;
}
