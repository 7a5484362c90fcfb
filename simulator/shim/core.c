/* Mapping of the shared state, init and shutdown, injected faults, the process list. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

sim_state *sim;
static int references, writable;
static dev_t mapped_device;
static ino_t mapped_inode;
static pthread_mutex_t init_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sim_handle handles[SIM_MAX_DEVICES];
static char mapped_path[4096];

/* A driver's client does not survive fork(): the child has to init for itself. */
static void forget_in_child(void) {
    references = 0;
    pthread_mutex_init(&init_lock, NULL);
}

__attribute__((constructor)) static void prepare(void) {
    for (uint32_t index = 0; index < SIM_MAX_DEVICES; index++) handles[index] = (struct sim_handle){index, -1, -1};
    pthread_atfork(NULL, NULL, forget_in_child);
}

uint64_t sim_now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

void sim_sleep_ms(uint64_t ms) {
    struct timespec rest = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000L};
    while (nanosleep(&rest, &rest) == -1 && errno == EINTR) continue;
}

nvmlReturn_t sim_copy_text(char *out, unsigned int length, const char *text) {
    if (!out) return NVML_INVALID_ARGUMENT;
    if (strlen(text) + 1 > length) return NVML_INSUFFICIENT_SIZE;
    strcpy(out, text);
    return NVML_SUCCESS;
}

/* The mapping of an earlier state file is kept: another thread may still be inside a call on it. */
static nvmlReturn_t map_state(void) {
    const char *path = getenv("NVML_SIM_STATE");
    if (!path || !*path) return NVML_DRIVER_NOT_LOADED;
    int can_write = 1, file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) {
        can_write = 0;
        file = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (file < 0) return NVML_DRIVER_NOT_LOADED;
    struct stat about;
    if (fstat(file, &about) != 0 || about.st_size < (off_t)sizeof(sim_header)) {
        close(file);
        return NVML_DRIVER_NOT_LOADED;
    }
    if (sim && about.st_dev == mapped_device && about.st_ino == mapped_inode) {
        close(file);
        return NVML_SUCCESS;
    }
    int protection = can_write ? PROT_READ | PROT_WRITE : PROT_READ;
    size_t size = (size_t)about.st_size < sizeof(sim_state) ? (size_t)about.st_size : sizeof(sim_state);
    void *mapping = mmap(NULL, size, protection, MAP_SHARED, file, 0);
    close(file);
    if (mapping == MAP_FAILED) return NVML_DRIVER_NOT_LOADED;
    sim_state *state = mapping;
    if (state->header.magic != SIM_MAGIC || size < sizeof(sim_state) || state->header.abi_version != SIM_ABI_VERSION) {
        nvmlReturn_t why = state->header.magic == SIM_MAGIC ? NVML_LIB_RM_VERSION_MISMATCH : NVML_DRIVER_NOT_LOADED;
        munmap(mapping, size);
        return why;
    }
    snprintf(mapped_path, sizeof mapped_path, "%s", path);
    sim = state;
    writable = can_write;
    mapped_device = about.st_dev;
    mapped_inode = about.st_ino;
    return NVML_SUCCESS;
}

static int same_call(const char *pattern, const char *call, int exact) {
    size_t length = strlen(pattern);
    if (length == 0 || strcmp(pattern, "*") == 0 || strcmp(pattern, call) == 0) return 1;
    if (pattern[length - 1] == '*') return strncmp(pattern, call, length - 1) == 0;
    if (exact || strncmp(pattern, call, length) != 0) return 0;
    return call[length] == '_' && call[length + 1] == 'v'; /* nvmlDeviceGetCount names nvmlDeviceGetCount_v2 too */
}

static void hang(const sim_fault *fault) {
    uint64_t id = fault->id, until = sim_now_us() + fault->duration_ms * 1000u;
    while (__atomic_load_n(&fault->active, __ATOMIC_ACQUIRE) && fault->id == id && sim_now_us() < until) sim_sleep_ms(20);
}

static int take_error(sim_fault *fault) {
    if (fault->remaining < 0 || !writable) return 1;
    int64_t left = __atomic_load_n(&fault->remaining, __ATOMIC_RELAXED);
    while (left > 0) {
        if (__atomic_compare_exchange_n(&fault->remaining, &left, left - 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) return 1;
    }
    return 0;
}

static nvmlReturn_t apply_faults(const char *call, uint32_t device) {
    if (!__atomic_load_n(&sim->header.fault_count, __ATOMIC_ACQUIRE)) return NVML_SUCCESS;
    for (uint32_t slot = 0; slot < SIM_MAX_FAULTS; slot++) {
        sim_fault *fault = &sim->faults[slot];
        if (!__atomic_load_n(&fault->active, __ATOMIC_ACQUIRE)) continue;
        if (fault->device != SIM_ALL_DEVICES && fault->device != device) continue;
        int exact = fault->kind == SIM_FAULT_MISSING_SYMBOL;
        if (!same_call(fault->call, call, exact)) continue;
        if (fault->kind == SIM_FAULT_NVML_HANG || fault->kind == SIM_FAULT_NVML_SLOW) hang(fault);
        if (exact) return NVML_FUNCTION_NOT_FOUND;
        if (fault->kind == SIM_FAULT_NVML_ERROR && take_error(fault)) return (nvmlReturn_t)fault->code;
        if (fault->kind == SIM_FAULT_LIB_RM_MISMATCH && strncmp(call, "nvmlInit", 8) == 0) return NVML_LIB_RM_VERSION_MISMATCH;
    }
    return NVML_SUCCESS;
}

void sim_unlock(int lock) { close(lock); }

int sim_lock(void) {
    int file = open(mapped_path, O_RDWR | O_CLOEXEC);
    if (file >= 0) flock(file, LOCK_EX);
    return file;
}

nvmlReturn_t sim_enter(const char *call, uint32_t device) {
    if (!__atomic_load_n(&references, __ATOMIC_ACQUIRE)) return NVML_UNINITIALIZED;
    return apply_faults(call, device);
}

/* Seqlock reader: odd means that a writer is inside. A writer that died there must not stop us for ever. */
void sim_snapshot(uint32_t index, sim_device *view) {
    const sim_device *device = &sim->devices[index];
    for (int tries = 0; tries < 200; tries++) {
        uint32_t before = __atomic_load_n(&device->seq, __ATOMIC_ACQUIRE);
        memcpy(view, device, sizeof *view);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (!(before & 1u) && before == __atomic_load_n(&device->seq, __ATOMIC_RELAXED)) return;
        struct timespec moment = {0, 50000};
        nanosleep(&moment, NULL);
    }
}

nvmlReturn_t sim_enter_device(const char *call, nvmlDevice_t handle, sim_device *view) {
    if (!__atomic_load_n(&references, __ATOMIC_ACQUIRE)) return NVML_UNINITIALIZED;
    if (handle < handles || handle >= handles + sim->header.device_count) return NVML_INVALID_ARGUMENT;
    nvmlReturn_t code = apply_faults(call, handle->index);
    if (code != NVML_SUCCESS) return code;
    sim_snapshot(handle->index, view);
    return view->lost ? NVML_GPU_IS_LOST : NVML_SUCCESS;
}

nvmlDevice_t sim_handle_of(uint32_t index) { return &handles[index]; }

nvmlReturn_t sim_require_root(void) {
    const char *said = getenv("NVML_SIM_ROOT");
    int root = said && *said ? strcmp(said, "1") == 0 : geteuid() == 0;
    return root && writable ? NVML_SUCCESS : NVML_NO_PERMISSION;
}

/* Alive: the PID exists, is no zombie, and is the same process (its start time is the recorded one). */
static int alive(const sim_process *process) {
    if (process->stuck) return 1; /* killed, but the kernel cannot let go of it */
    char path[32], text[1024];
    snprintf(path, sizeof path, "/proc/%u/stat", process->pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) return 0;
    text[length] = 0;
    char *rest = strrchr(text, ')');
    if (!rest || rest[1] == 0) return 0;
    char state = rest[2];
    if (state == 'Z' || state == 'X' || state == 'x') return 0;
    unsigned long long start = 0;
    rest += 2;
    for (int field = 3; field < 22 && rest; field++) rest = strchr(rest + 1, ' ');
    if (!rest || sscanf(rest, "%llu", &start) != 1) return 0;
    return process->start_ticks == 0 || process->start_ticks == start;
}

uint32_t sim_processes_on(uint32_t device, sim_process *out, uint32_t max) {
    uint32_t found = 0;
    for (uint32_t slot = 0; slot < SIM_MAX_PROCESSES && found < max; slot++) {
        if (!__atomic_load_n(&sim->processes[slot].in_use, __ATOMIC_ACQUIRE)) continue;
        sim_process entry = sim->processes[slot];
        if (entry.device == device && alive(&entry)) out[found++] = entry;
    }
    return found;
}

uint64_t sim_memory_held(uint32_t device, const sim_device *view) {
    static _Thread_local sim_process processes[SIM_MAX_PROCESSES];
    uint32_t count = sim_processes_on(device, processes, SIM_MAX_PROCESSES);
    uint64_t held = view->zombie_bytes, most = view->memory_total - view->memory_reserved;
    for (uint32_t each = 0; each < count; each++) held += processes[each].memory_bytes;
    return held < most ? held : most;
}

static nvmlReturn_t initialise(const char *call) {
    pthread_mutex_lock(&init_lock);
    nvmlReturn_t code = references ? NVML_SUCCESS : map_state();
    if (code == NVML_SUCCESS) code = apply_faults(call, SIM_ALL_DEVICES);
    if (code == NVML_SUCCESS) __atomic_add_fetch(&references, 1, __ATOMIC_ACQ_REL);
    pthread_mutex_unlock(&init_lock);
    return code;
}

EXPORT nvmlReturn_t nvmlInitWithFlags(unsigned int flags) {
    (void)flags;
    return initialise(__func__);
}
EXPORT nvmlReturn_t nvmlInit_v2(void) { return initialise(__func__); }
EXPORT nvmlReturn_t nvmlInit(void) { return initialise(__func__); }

EXPORT nvmlReturn_t nvmlShutdown(void) {
    nvmlReturn_t code = NVML_UNINITIALIZED;
    pthread_mutex_lock(&init_lock);
    if (references > 0) {
        __atomic_sub_fetch(&references, 1, __ATOMIC_ACQ_REL);
        code = NVML_SUCCESS;
    }
    pthread_mutex_unlock(&init_lock);
    return code;
}

EXPORT const char *nvmlErrorString(nvmlReturn_t code) {
    switch (code) {
#define CASE(number, text) \
    case number:           \
        return text;
        NVML_RETURN_TEXTS(CASE)
#undef CASE
    }
    return "Unknown Error";
}
