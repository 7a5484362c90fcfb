/* Engines beside the SMs, the PCIe bus, time lost to limits; and what a server board on Linux does not have. */
#include "internal.h"

#pragma GCC diagnostic ignored "-Wunused-parameter" /* what is not supported looks at no argument */

#define PERIOD_US 166667 /* the driver averages engine utilisation over a sixth of a second */
#define NOT_ON_SERVER_BOARDS(function, ...)                                       \
    EXPORT nvmlReturn_t function(nvmlDevice_t handle, __VA_ARGS__) {              \
        ENTER_DEVICE(handle, view);                                               \
        return NVML_NOT_SUPPORTED;                                                \
    }
/* No workload of ours touches video or JPEG engines: they idle. */
#define IDLE_ENGINE(function)                                                                           \
    EXPORT nvmlReturn_t function(nvmlDevice_t handle, unsigned int *percent, unsigned int *period_us) { \
        ENTER_DEVICE(handle, view);                                                                     \
        REQUIRE(percent && period_us);                                                                  \
        *percent = 0;                                                                                   \
        *period_us = PERIOD_US;                                                                         \
        return NVML_SUCCESS;                                                                            \
    }

IDLE_ENGINE(nvmlDeviceGetEncoderUtilization)
IDLE_ENGINE(nvmlDeviceGetDecoderUtilization)
IDLE_ENGINE(nvmlDeviceGetJpgUtilization)
IDLE_ENGINE(nvmlDeviceGetOfaUtilization)

NOT_ON_SERVER_BOARDS(nvmlDeviceGetFanSpeed_v2, unsigned int fan, unsigned int *percent)
NOT_ON_SERVER_BOARDS(nvmlDeviceGetDriverModel, unsigned int *current, unsigned int *pending)
NOT_ON_SERVER_BOARDS(nvmlDeviceGetDriverModel_v2, unsigned int *current, unsigned int *pending)
NOT_ON_SERVER_BOARDS(nvmlDeviceGetConfComputeMemSizeInfo, void *info)
NOT_ON_SERVER_BOARDS(nvmlDeviceGetRunningProcessDetailList, void *list)

EXPORT nvmlReturn_t nvmlDeviceGetNumFans(nvmlDevice_t handle, unsigned int *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out);
    *out = 0;
    return NVML_SUCCESS;
}

/* KiB/s: 0 what the device sends, 1 what it receives. The state counts MiB/s. */
EXPORT nvmlReturn_t nvmlDeviceGetPcieThroughput(nvmlDevice_t handle, unsigned int counter, unsigned int *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out && counter < 2);
    *out = (unsigned int)((counter ? view.now_pcie_rx : view.now_pcie_tx) * 1024);
    return NVML_SUCCESS;
}

/* Nanoseconds under the power limit (0) and under the thermal one (1), with the time of the reading in us. */
EXPORT nvmlReturn_t nvmlDeviceGetViolationStatus(nvmlDevice_t handle, unsigned int policy, nvmlViolationTime *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out);
    if (policy > 1) return NVML_NOT_SUPPORTED;
    out->referenceTime = sim_now_us();
    out->violationTime = policy ? view.violation_thermal_ns : view.violation_power_ns;
    return NVML_SUCCESS;
}
