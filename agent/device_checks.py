"""Judgements over a device's reading: its health, and whether it may be handed over or taken back. No NVML in here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agent.device_records import Check, DeviceCheck, DeviceHealth, DeviceReading, HealthLevel, NvmlError

Baseline = Mapping[str, DeviceReading]

EMPTY_MEMORY_MIB = 1024  # the driver's own contexts stay below this
IDLE_TEMPERATURE_C = 60
HOT_TEMPERATURE_C = 90
FABRIC_COMPLETED = 3
CHANGE = "_unchanged"
UNCORRECTABLE_REMAPS_MAX = 512  # beyond this the memory is worn out (NVIDIA's RMA rule, as Azure's node checks use it)
# HW slowdown, HW thermal slowdown, HW power brake: the hardware protects itself (nvml.h, clocks event reasons).
HARDWARE_SLOWDOWN_BITS = 0x08 | 0x40 | 0x80
RECOVERY_ACTIONS = {
    1: "gpu_reset",
    2: "node_reboot",
    3: "drain_p2p",
    4: "drain_and_reset",
    5: "recover_imex_domain",
    6: "bus_reset",
    7: "system_reboot",
}
LEVELS: tuple[HealthLevel, ...] = ("ok", "warn", "drain", "fail")


def judge(reading: DeviceReading) -> DeviceHealth:
    """The health that a reading shows: fail is broken, drain must leave service, warn may finish its lease."""
    action = reading.recovery_action or 0
    findings: list[tuple[HealthLevel, str, bool]] = [
        ("fail", "remap_failed", bool(reading.remap_failed)),
        ("fail", "remaps_exhausted", (reading.remap_uncorrectable or 0) > UNCORRECTABLE_REMAPS_MAX),
        ("drain", "ecc_dbe", bool(reading.ecc_dbe_volatile)),
        # A pending remap asks for a reset on its own account: that one can wait for the end of the lease.
        ("drain", f"recovery_{RECOVERY_ACTIONS.get(action, action)}", bool(action) and not _reset_can_wait(reading)),
        ("drain", "nvlink_down", bool(reading.nvlinks_down)),
        ("warn", "remap_pending", bool(reading.remap_pending)),
        ("warn", "retired_pending", bool(reading.retired_pending)),
        ("warn", "hardware_slowdown", bool((reading.clock_event_reasons or 0) & HARDWARE_SLOWDOWN_BITS)),
        ("warn", "hot", (reading.temperature_c or 0) >= HOT_TEMPERATURE_C),
        ("warn", "ecc_off", reading.ecc_enabled is False),
        ("warn", "pcie_width", _narrow(reading)),
        ("warn", "fabric_incomplete", reading.fabric_state not in (None, FABRIC_COMPLETED)),
    ]
    found = [(level, code) for level, code, present in findings if present]
    worst = max((level for level, _ in found), key=LEVELS.index, default=LEVELS[0])
    return DeviceHealth(reading.uuid, worst, tuple(code for _, code in found))


def _reset_can_wait(reading: DeviceReading) -> bool:
    return reading.recovery_action == 1 and bool(reading.remap_pending) and not reading.ecc_dbe_volatile


def _narrow(reading: DeviceReading) -> bool:
    if reading.pcie_width is None or reading.pcie_width_max is None:
        return False
    return reading.pcie_width < reading.pcie_width_max


def empty_checks(reading: DeviceReading) -> list[Check]:
    """Nobody is on the device: no process, no memory held."""
    pids = ", ".join(str(process.pid) for process in reading.processes) or "none"
    return [
        Check("no_processes", not reading.processes, pids, "none"),
        Check(
            "memory_empty",
            reading.memory_used_mib < EMPTY_MEMORY_MIB,
            f"{reading.memory_used_mib} MiB",
            f"below {EMPTY_MEMORY_MIB} MiB",
        ),
    ]


def _is(code: str, observed: object, expected: object) -> list[Check]:
    """A check for equality; none at all where the device has no such thing."""
    return [] if observed is None else [Check(code, observed == expected, _text(observed), _text(expected))]


def _text(value: object) -> str:
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _watts(value: float | None) -> str | None:
    return None if value is None else f"{value:g} W"


def condition_checks(reading: DeviceReading) -> list[Check]:
    """The device is well, whoever was on it."""
    action = reading.recovery_action
    named = None if action is None else RECOVERY_ACTIONS.get(action, str(action) if action else "none")
    links = ", ".join(map(str, reading.nvlinks_down)) or "none"
    return [
        *_is("ecc_enabled", reading.ecc_enabled, True),
        *_is("ecc_dbe", reading.ecc_dbe_volatile, 0),
        *_is("remap_pending", reading.remap_pending, False),
        *_is("remap_failed", reading.remap_failed, False),
        *_is("retired_pending", reading.retired_pending, False),
        *_is("recovery_action", named, "none"),
        Check("nvlinks_down", not reading.nvlinks_down, links, "none"),
        *_is("fabric_state", reading.fabric_state, FABRIC_COMPLETED),
    ]


def handover_checks(reading: DeviceReading, mig_enabled: bool = False) -> list[Check]:
    """Empty, well, cool, and set as a lease needs it: the ladder before a handover. `mig_enabled`: of a MIG device."""
    reasons = reading.clock_event_reasons
    warm = reading.temperature_c
    return [
        *empty_checks(reading),
        *condition_checks(reading),
        *_is("hardware_slowdown", None if reasons is None else bool(reasons & HARDWARE_SLOWDOWN_BITS), False),
        *(
            []
            if warm is None or mig_enabled  # neighbours on the same GPU may be at work
            else [Check("temperature", warm < IDLE_TEMPERATURE_C, f"{warm} C", f"below {IDLE_TEMPERATURE_C} C")]
        ),
        *(
            []
            if reading.pcie_width is None
            else _is("pcie_width", f"x{reading.pcie_width}", f"x{reading.pcie_width_max}")
        ),
        *_is("persistence_mode", reading.persistence_mode, True),
        *_is("compute_mode", reading.compute_mode, "default"),
        *_is("power_limit", _watts(reading.power_limit_watts), _watts(reading.power_default_watts)),
        *_is("mig_enabled", reading.mig_enabled, mig_enabled),
    ]


def change_checks(reading: DeviceReading, baseline: DeviceReading) -> list[Check]:
    """No new lasting damage since the baseline: what is new was done during the lease between the two."""
    checks = []
    for name in ("ecc_dbe_aggregate", "remap_uncorrectable", "nvlink_recovery"):
        now, before = getattr(reading, name), getattr(baseline, name)
        if now is not None and before is not None:
            checks.append(Check(f"{name}{CHANGE}", now <= before, str(now), str(before)))
    return checks


def is_change(code: str) -> bool:
    """Whether a check holds a device against what it was like before the lease."""
    return code.endswith(CHANGE)


def return_checks(reading: DeviceReading) -> list[Check]:
    """Empty and well; it may still be warm: the ladder after a revocation."""
    return [*empty_checks(reading), *condition_checks(reading)]


def run_ladder(
    uuid: str,
    seen: DeviceReading | NvmlError,
    ladder: Callable[[DeviceReading], list[Check]],
    baseline: Baseline | None,
) -> DeviceCheck:
    """Put a device's reading through a ladder; a device that gave an error fails the one check `answers`."""
    if isinstance(seen, NvmlError):
        return DeviceCheck(uuid, False, (Check("answers", False, seen.code, "an answer"),))
    before = (baseline or {}).get(uuid)
    checks = [*ladder(seen), *(change_checks(seen, before) if before else [])]
    return DeviceCheck(uuid, all(check.passed for check in checks), tuple(checks), seen)
