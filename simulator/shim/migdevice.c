/* The devices that MIG makes: one for each compute instance, with a UUID, a name and memory of its own. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define ENTER_MIG(handle)                                                              \
    sim_device view;                                                                   \
    sim_gpu_instance instance;                                                         \
    nvmlReturn_t entered = sim_enter_mig(__func__, (handle), &view, &instance);        \
    if (entered != NVML_SUCCESS) return entered;                                       \
    const sim_mig_profile *profile = &sim->mig_profiles[instance.profile];             \
    (void)profile

/* The same device cut the same way has the same UUID, as on a driver. FNV-1a over what names the instance. */
static void uuid_text(uint32_t device, const sim_gpu_instance *instance, int32_t compute, char text[64]) {
    uint64_t words[2] = {0xcbf29ce484222325u, 0x84222325cbf29ce4u};
    char name[160];
    int length = snprintf(name, sizeof name, "%s/%u/%u/%d", sim->devices[device].uuid, instance->id, instance->profile, (int)compute);
    for (int word = 0; word < 2; word++)
        for (int at = 0; at < length; at++) words[word] = (words[word] ^ (uint8_t)name[at]) * 0x100000001b3u;
    snprintf(text, 64, "MIG-%08x-%04x-5%03x-8%03x-%012llx", (uint32_t)(words[0] >> 32), (uint32_t)(words[0] >> 16 & 0xffff),
             (uint32_t)(words[0] & 0xfff), (uint32_t)(words[1] >> 52), (unsigned long long)(words[1] & 0xffffffffffffu));
}

nvmlReturn_t sim_mig_uuid(nvmlDevice_t handle, char *out, unsigned int length) {
    sim_device view;
    sim_gpu_instance instance;
    nvmlReturn_t code = sim_enter_mig("nvmlDeviceGetUUID", handle, &view, &instance);
    if (code != NVML_SUCCESS) return code;
    char text[64];
    uuid_text(handle->index, &instance, handle->compute, text);
    return sim_copy_text(out, length, text);
}

nvmlReturn_t sim_mig_name(nvmlDevice_t handle, char *out, unsigned int length) {
    sim_device view;
    sim_gpu_instance instance;
    nvmlReturn_t code = sim_enter_mig("nvmlDeviceGetName", handle, &view, &instance);
    if (code != NVML_SUCCESS) return code;
    const sim_mig_profile *profile = &sim->mig_profiles[instance.profile];
    uint32_t slices = instance.compute[handle->compute].slices;
    char text[160];
    if (slices == profile->slices) snprintf(text, sizeof text, "%s MIG %s", view.name, profile->name);
    else snprintf(text, sizeof text, "%s MIG %uc.%s", view.name, slices, profile->name);
    return sim_copy_text(out, length, text);
}

/* Memory belongs to the GPU instance: its compute instances share it. */
nvmlReturn_t sim_mig_memory(const char *call, nvmlDevice_t handle, uint64_t *total, uint64_t *used) {
    sim_device view;
    sim_gpu_instance instance;
    nvmlReturn_t code = sim_enter_mig(call, handle, &view, &instance);
    *total = *used = 0;
    if (code != NVML_SUCCESS) return code;
    static _Thread_local sim_process found[SIM_MAX_PROCESSES];
    uint32_t have = sim_processes_on(handle->index, found, SIM_MAX_PROCESSES);
    *total = sim->mig_profiles[instance.profile].memory_mib << 20;
    for (uint32_t each = 0; each < have; each++)
        if (found[each].gpu_instance == instance.id) *used += found[each].memory_bytes;
    return NVML_SUCCESS;
}

nvmlReturn_t sim_mig_by_uuid(const char *uuid, nvmlDevice_t *out) {
    for (uint32_t device = 0; device < sim->header.device_count; device++)
        for (int32_t slot = 0; slot < SIM_MAX_INSTANCES; slot++)
            for (int32_t compute = 0; compute < SIM_MAX_INSTANCES; compute++) {
                const sim_gpu_instance *each = &sim->partitions[device].instances[slot];
                char text[64];
                if (!each->in_use || !each->compute[compute].in_use) continue;
                uuid_text(device, each, compute, text);
                if (strcmp(text, uuid) != 0) continue;
                *out = sim_mig_handle(device, slot, compute);
                return NVML_SUCCESS;
            }
    return NVML_NOT_FOUND;
}

/* MIG devices are counted in the order of their instances' places in memory. */
EXPORT nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t handle, unsigned int index, nvmlDevice_t *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out);
    if (!view.mig_capable) return NVML_NOT_SUPPORTED;
    REQUIRE(index < 7);
    for (uint32_t start = 0; start < 8 && view.mig_mode; start++)
        for (int32_t slot = 0; slot < SIM_MAX_INSTANCES; slot++) {
            const sim_gpu_instance *each = &sim->partitions[handle->index].instances[slot];
            if (!each->in_use || each->start != start) continue;
            for (int32_t compute = 0; compute < SIM_MAX_INSTANCES; compute++) {
                if (!each->compute[compute].in_use || index-- > 0) continue;
                *out = sim_mig_handle(handle->index, slot, compute);
                return NVML_SUCCESS;
            }
        }
    return NVML_NOT_FOUND;
}

EXPORT nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t handle, unsigned int *out) {
    REQUIRE(out);
    *out = (unsigned int)sim_is_mig(handle);
    if (*out) return NVML_SUCCESS;
    ENTER_DEVICE(handle, view);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t handle, unsigned int *out) {
    if (!sim_is_mig(handle)) {
        ENTER_DEVICE(handle, view);
        return NVML_NOT_SUPPORTED;
    }
    ENTER_MIG(handle);
    REQUIRE(out);
    *out = instance.id;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetComputeInstanceId(nvmlDevice_t handle, unsigned int *out) {
    if (!sim_is_mig(handle)) {
        ENTER_DEVICE(handle, view);
        return NVML_NOT_SUPPORTED;
    }
    ENTER_MIG(handle);
    REQUIRE(out);
    *out = (unsigned int)handle->compute;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t handle, nvmlDevice_t *out) {
    ENTER_MIG(handle);
    REQUIRE(out);
    *out = sim_handle_of(handle->index);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetAttributes_v2(nvmlDevice_t handle, nvmlDeviceAttributes *out) {
    if (!sim_is_mig(handle)) {
        ENTER_DEVICE(handle, view);
        return NVML_NOT_SUPPORTED;
    }
    ENTER_MIG(handle);
    REQUIRE(out);
    uint32_t slices = instance.compute[handle->compute].slices;
    *out = (nvmlDeviceAttributes){profile->sms * slices / profile->slices, profile->copies, profile->decoders, profile->encoders,
                                  profile->jpegs, profile->ofas, profile->slices, slices, profile->memory_mib};
    return NVML_SUCCESS;
}

/* A sample of the device with the counters of one GPU instance in the place of its own. */
EXPORT nvmlReturn_t nvmlGpmMigSampleGet(nvmlDevice_t handle, unsigned int id, sim_device *sample) {
    ENTER_DEVICE(handle, view);
    REQUIRE(sample);
    if (!view.gpm_supported || !view.mig_mode) return NVML_NOT_SUPPORTED;
    for (int32_t slot = 0; slot < SIM_MAX_INSTANCES; slot++) {
        const sim_gpu_instance *each = &sim->partitions[handle->index].instances[slot];
        if (!each->in_use || each->id != id) continue;
        *sample = view;
        memcpy(&sample->graphics, &each->graphics, 18 * sizeof(double)); /* the two structs name them in one order */
        return NVML_SUCCESS;
    }
    return NVML_NOT_FOUND;
}
