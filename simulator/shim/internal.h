/* What the files of the shim share: the mapped state, the way into every call, and the process list. */
#pragma once
#include "sim_abi.h"

#define EXPORT __attribute__((visibility("default")))

typedef int nvmlReturn_t;
typedef struct sim_handle {
    uint32_t index;
    int32_t instance, compute; /* slots of a MIG device's instances; -1 for a whole device or GPU instance */
} *nvmlDevice_t;

extern sim_state *sim; /* NULL before the first successful nvmlInit */

/* Checks that the library is initialised and applies the call's injected faults. */
nvmlReturn_t sim_enter(const char *call, uint32_t device);
/* The same for a call on a device; copies a consistent snapshot of the device to *view. */
nvmlReturn_t sim_enter_device(const char *call, nvmlDevice_t handle, sim_device *view);
nvmlDevice_t sim_handle_of(uint32_t index);
/* 0 where the caller may change the node: root (NVML_SIM_ROOT=1 or =0 decides otherwise) and a writable state file. */
nvmlReturn_t sim_require_root(void);
/* The live processes on a device: entries are copied to out, at most max; returns how many. */
uint32_t sim_processes_on(uint32_t device, sim_process *out, uint32_t max);
uint64_t sim_memory_held(uint32_t device, const sim_device *view);
/* Copies a device's values whatever writer is at work. */
void sim_snapshot(uint32_t index, sim_device *view);
/* The writers' lock, shared with the Python side: a descriptor to close, or -1. */
int sim_lock(void);
void sim_unlock(int lock);
nvmlDevice_t sim_mig_handle(uint32_t device, int32_t instance, int32_t compute);
int sim_is_mig(nvmlDevice_t handle);
/* The way into a call on a MIG device: NOT_FOUND once its instance was destroyed. */
nvmlReturn_t sim_enter_mig(const char *call, nvmlDevice_t handle, sim_device *view, sim_gpu_instance *instance);
nvmlReturn_t sim_mig_uuid(nvmlDevice_t handle, char *out, unsigned int length);
nvmlReturn_t sim_mig_name(nvmlDevice_t handle, char *out, unsigned int length);
nvmlReturn_t sim_mig_memory(const char *call, nvmlDevice_t handle, uint64_t *total, uint64_t *used);
nvmlReturn_t sim_mig_by_uuid(const char *uuid, nvmlDevice_t *out);
uint64_t sim_now_us(void);
void sim_sleep_ms(uint64_t ms);
nvmlReturn_t sim_copy_text(char *out, unsigned int length, const char *text);

#define ENTER(device)                                              \
    do {                                                           \
        nvmlReturn_t entered_ = sim_enter(__func__, (device));     \
        if (entered_ != NVML_SUCCESS) return entered_;             \
    } while (0)
#define ENTER_DEVICE(handle, view)                                          \
    sim_device view;                                                        \
    do {                                                                    \
        nvmlReturn_t entered_ = sim_enter_device(__func__, (handle), &view); \
        if (entered_ != NVML_SUCCESS) return entered_;                      \
    } while (0)
#define REQUIRE(condition) \
    do {                   \
        if (!(condition)) return NVML_INVALID_ARGUMENT; \
    } while (0)
