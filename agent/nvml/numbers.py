"""Numbers of nvml.h that the agent reads by: field ids, GPM metrics, modes, and which errors mean absence."""

from __future__ import annotations

from agent.device_records import ComputeMode

FIELD_ECC = (3, 4, 5, 6)  # single and double bit since boot, single and double bit ever
FIELD_MEMORY_TEMPERATURE, FIELD_RETIRED_PENDING, FIELD_POWER, FIELD_RECOVERY_ACTION = 82, 31, 185, 230
FIELD_ENERGY, FIELD_PCIE_REPLAY = 83, 94
FIELD_REMAPS = (142, 143, 144, 145)  # correctable, uncorrectable, pending, failure
FIELD_NVLINK = (161, 162)  # replays, recoveries
SAMPLE_FIELDS = (FIELD_MEMORY_TEMPERATURE, FIELD_POWER, FIELD_ENERGY)
READING_FIELDS = (
    *FIELD_ECC,
    FIELD_RETIRED_PENDING,
    *FIELD_REMAPS,
    *FIELD_NVLINK,
    FIELD_PCIE_REPLAY,
    FIELD_RECOVERY_ACTION,
)
GPM_GRAPHICS, GPM_SM, GPM_TENSOR = 1, 2, 5
COMPUTE_MODES: dict[int, ComputeMode] = {0: "default", 2: "prohibited", 3: "exclusive_process"}
ARCHITECTURES = {5: "Volta", 6: "Turing", 7: "Ampere", 8: "Ada", 9: "Hopper", 10: "Blackwell", 13: "Rubin"}
# Codes that mean "this device or driver has no such thing", not that something is wrong.
ABSENT = frozenset({"NOT_SUPPORTED", "FUNCTION_NOT_FOUND", "NOT_FOUND", "NO_DATA", "ARGUMENT_VERSION_MISMATCH"})
