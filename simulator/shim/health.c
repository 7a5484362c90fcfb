/* ECC, row remapping, page retirement, and field values: what tells whether a device is well. */
#include <string.h>

#include "internal.h"

EXPORT nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t handle, unsigned int error, unsigned int counter,
                                                unsigned long long *out) {
    ENTER_DEVICE(handle, view);
    REQUIRE(out && error < 2 && counter < 2);
    const uint64_t counts[2][2] = {{view.ecc_sbe_volatile, view.ecc_sbe_aggregate},
                                   {view.ecc_dbe_volatile, view.ecc_dbe_aggregate}};
    if (!view.ecc_mode) return NVML_NOT_SUPPORTED;
    *out = counts[error][counter];
    return NVML_SUCCESS;
}

/* Every simulated error lies in device memory (location 2). */
EXPORT nvmlReturn_t nvmlDeviceGetMemoryErrorCounter(nvmlDevice_t handle, unsigned int error, unsigned int counter,
                                                    unsigned int location, unsigned long long *out) {
    unsigned long long total = 0;
    nvmlReturn_t code = nvmlDeviceGetTotalEccErrors(handle, error, counter, &total);
    if (code != NVML_SUCCESS) return code;
    REQUIRE(out && location < 8);
    *out = location == 2 ? total : 0;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetRemappedRows(nvmlDevice_t handle, unsigned int *correctable, unsigned int *uncorrectable,
                                              unsigned int *pending, unsigned int *failure) {
    ENTER_DEVICE(handle, view);
    REQUIRE(correctable && uncorrectable && pending && failure);
    if (!view.row_remap_supported) return NVML_NOT_SUPPORTED;
    *correctable = view.remap_correctable;
    *uncorrectable = view.remap_uncorrectable;
    *pending = view.remap_pending;
    *failure = view.remap_failure;
    return NVML_SUCCESS;
}

/* Cause 0: several single-bit errors; 1: a double-bit error. Addresses are made up, one page apart. */
static nvmlReturn_t retired_pages(const sim_device *view, unsigned int cause, unsigned int *count,
                                  unsigned long long *addresses, unsigned long long *times) {
    REQUIRE(count && cause < 2);
    if (!view->page_retirement_supported) return NVML_NOT_SUPPORTED;
    unsigned int have = cause ? view->retired_dbe : view->retired_sbe, room = *count;
    *count = have;
    if (have > room || (have && !addresses)) return NVML_INSUFFICIENT_SIZE;
    for (unsigned int page = 0; page < have; page++) {
        addresses[page] = 0x10000000ULL + page * 0x1000ULL;
        if (times) times[page] = sim->header.created_ns / 1000u;
    }
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetRetiredPages(nvmlDevice_t handle, unsigned int cause, unsigned int *count,
                                              unsigned long long *addresses) {
    ENTER_DEVICE(handle, view);
    return retired_pages(&view, cause, count, addresses, NULL);
}

EXPORT nvmlReturn_t nvmlDeviceGetRetiredPages_v2(nvmlDevice_t handle, unsigned int cause, unsigned int *count,
                                                 unsigned long long *addresses, unsigned long long *times) {
    ENTER_DEVICE(handle, view);
    return retired_pages(&view, cause, count, addresses, times);
}

enum { TYPE_DOUBLE, TYPE_U32, TYPE_ULONG, TYPE_U64 };
enum { ALWAYS, REMAP, RETIRE, LINKS, ECC };

static int applies(const sim_device *view, int needs) {
    switch (needs) {
        case REMAP: return view->row_remap_supported != 0;
        case RETIRE: return view->page_retirement_supported != 0;
        case LINKS: return view->nvlink_count != 0;
        case ECC: return view->ecc_mode != 0;
    }
    return 1;
}

static void fill(nvmlFieldValue *field, const sim_device *view) {
    const struct {
        uint32_t id, type;
        int needs;
        uint64_t value;
    } table[] = {
        {1, TYPE_U32, ALWAYS, view->ecc_mode},
        {2, TYPE_U32, ALWAYS, view->ecc_pending},
        {3, TYPE_U64, ECC, view->ecc_sbe_volatile},
        {4, TYPE_U64, ECC, view->ecc_dbe_volatile},
        {5, TYPE_U64, ECC, view->ecc_sbe_aggregate},
        {6, TYPE_U64, ECC, view->ecc_dbe_aggregate},
        {29, TYPE_U64, RETIRE, view->retired_sbe},
        {30, TYPE_U64, RETIRE, view->retired_dbe},
        {31, TYPE_U64, RETIRE, view->retired_pending},
        {74, TYPE_U64, ALWAYS, view->violation_power_ns},
        {75, TYPE_U64, ALWAYS, view->violation_thermal_ns},
        {76, TYPE_U64, ALWAYS, 0}, /* sync boost, board limit, reliability: nothing of ours holds clocks back by them */
        {77, TYPE_U64, ALWAYS, 0},
        {79, TYPE_U64, ALWAYS, 0},
        {82, TYPE_U32, ALWAYS, view->memory_temperature_c},
        {83, TYPE_U64, ALWAYS, view->energy_mj},
        {94, TYPE_U32, ALWAYS, view->pcie_replay},
        {138, TYPE_U64, LINKS, (uint64_t)(view->nvlink_tx * 1024.0)},
        {139, TYPE_U64, LINKS, (uint64_t)(view->nvlink_rx * 1024.0)},
        {142, TYPE_U64, REMAP, view->remap_correctable},
        {143, TYPE_U64, REMAP, view->remap_uncorrectable},
        {144, TYPE_U64, REMAP, view->remap_pending},
        {145, TYPE_U64, REMAP, view->remap_failure},
        {38, TYPE_U64, LINKS, view->nvlink_crc_flit},
        {45, TYPE_U64, LINKS, view->nvlink_crc_data},
        {161, TYPE_U64, LINKS, view->nvlink_replay},
        {162, TYPE_U64, LINKS, view->nvlink_recovery},
        {163, TYPE_U64, LINKS, view->nvlink_crc_flit + view->nvlink_crc_data},
        {185, TYPE_U32, ALWAYS, view->power_mw},
        {186, TYPE_U32, ALWAYS, view->power_mw},
        {187, TYPE_U32, ALWAYS, view->power_min_mw},
        {188, TYPE_U32, ALWAYS, view->power_max_mw},
        {189, TYPE_U32, ALWAYS, view->power_default_mw},
        {190, TYPE_U32, ALWAYS, view->power_limit_mw},
        {191, TYPE_U32, ALWAYS, view->energy_mj}, /* in 32 bits, as the driver gives it: it begins anew after a day */
        {192, TYPE_U32, ALWAYS, view->power_limit_mw},
        {230, TYPE_U32, ALWAYS, view->recovery_action},
        {270, TYPE_U64, ALWAYS, view->violation_thermal_ns},
        {271, TYPE_U64, ALWAYS, view->violation_brake_ns},
    };
    field->nvmlReturn = NVML_NOT_SUPPORTED;
    field->value = 0;
    for (size_t row = 0; row < sizeof table / sizeof *table; row++) {
        if (table[row].id != field->fieldId || !applies(view, table[row].needs)) continue;
        field->valueType = table[row].type;
        field->nvmlReturn = NVML_SUCCESS;
        uint32_t small = (uint32_t)table[row].value;
        if (table[row].type == TYPE_U32) memcpy(&field->value, &small, sizeof small);
        else field->value = table[row].value;
    }
}

EXPORT nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t handle, int count, nvmlFieldValue *values) {
    ENTER_DEVICE(handle, view);
    REQUIRE(values && count > 0);
    uint64_t start = sim_now_us();
    for (int each = 0; each < count; each++) {
        values[each].timestamp = (int64_t)sim_now_us();
        fill(&values[each], &view);
        values[each].latencyUsec = (int64_t)(sim_now_us() - start);
    }
    return NVML_SUCCESS;
}
