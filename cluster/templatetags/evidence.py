"""The words for what a node found out about a device; the codes are the agent's (agent/device_checks.py)."""

from typing import Any

from django import template
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

register = template.Library()

CHECKS: dict[str, Any] = {
    "answers": gettext_lazy("The GPU answers"),
    "no_processes": gettext_lazy("No process"),
    "memory_empty": gettext_lazy("Memory is empty"),
    "ecc_enabled": gettext_lazy("ECC is on"),
    "ecc_dbe": gettext_lazy("Uncorrected ECC errors since the last reset"),
    "remap_pending": gettext_lazy("Row remapping waits for a reset"),
    "remap_failed": gettext_lazy("Row remapping failed"),
    "retired_pending": gettext_lazy("Page retirement waits for a reset"),
    "recovery_action": gettext_lazy("Recovery that the driver asks for"),
    "nvlinks_down": gettext_lazy("NVLinks that are down"),
    "fabric_state": gettext_lazy("NVLink fabric state (3: complete)"),
    "hardware_slowdown": gettext_lazy("Slowed down by the hardware"),
    "temperature": gettext_lazy("Temperature at rest"),
    "pcie_width": gettext_lazy("PCIe width"),
    "persistence_mode": gettext_lazy("Persistence mode"),
    "compute_mode": gettext_lazy("Compute mode"),
    "power_limit": gettext_lazy("Power limit"),
    "mig_enabled": gettext_lazy("MIG mode"),
    "ecc_dbe_aggregate_unchanged": gettext_lazy("Uncorrected ECC errors, lifetime"),
    "remap_uncorrectable_unchanged": gettext_lazy("Rows remapped after uncorrected errors"),
    "nvlink_recovery_unchanged": gettext_lazy("NVLink recoveries"),
}
FIGURES: dict[str, Any] = {
    "serial": gettext_lazy("Serial number"),
    "vbios_version": gettext_lazy("VBIOS"),
    "inforom_version": gettext_lazy("InfoROM"),
    "driver_version": gettext_lazy("Driver"),
    "temperature_c": gettext_lazy("Temperature, °C"),
    "power_watts": gettext_lazy("Power, W"),
    "power_limit_watts": gettext_lazy("Power limit, W"),
    "memory_used_mib": gettext_lazy("Memory in use, MiB"),
    "processes": gettext_lazy("Processes"),
    "ecc_sbe_volatile": gettext_lazy("Corrected ECC errors since the last reset"),
    "ecc_dbe_volatile": gettext_lazy("Uncorrected ECC errors since the last reset"),
    "ecc_sbe_aggregate": gettext_lazy("Corrected ECC errors, lifetime"),
    "ecc_dbe_aggregate": gettext_lazy("Uncorrected ECC errors, lifetime"),
    "remap_correctable": gettext_lazy("Rows remapped after corrected errors"),
    "remap_uncorrectable": gettext_lazy("Rows remapped after uncorrected errors"),
    "remap_pending": gettext_lazy("Row remapping waits for a reset"),
    "remap_failed": gettext_lazy("Row remapping failed"),
    "retired_pending": gettext_lazy("Page retirement waits for a reset"),
    "recovery_action": gettext_lazy("Recovery that the driver asks for"),
    "nvlinks_down": gettext_lazy("NVLinks that are down"),
    "nvlink_replay": gettext_lazy("NVLink replays"),
    "nvlink_recovery": gettext_lazy("NVLink recoveries"),
    "pcie_generation": gettext_lazy("PCIe generation"),
    "pcie_width": gettext_lazy("PCIe width"),
    "pcie_replay": gettext_lazy("PCIe replays"),
    "persistence_mode": gettext_lazy("Persistence mode"),
    "compute_mode": gettext_lazy("Compute mode"),
    "mig_enabled": gettext_lazy("MIG mode"),
}
"""The figures of a reading that a handover sheet shows, in this order."""
ACTIONS: dict[str, Any] = {
    "persistence_mode": gettext_lazy("Persistence mode set"),
    "compute_mode": gettext_lazy("Compute mode set"),
    "power_limit": gettext_lazy("Power limit set"),
    "mig_mode": gettext_lazy("MIG mode set"),
}
_VALUES: dict[str, Any] = {
    "none": gettext_lazy("none"),
    "yes": gettext_lazy("yes"),
    "no": gettext_lazy("no"),
    "an answer": gettext_lazy("an answer"),
}
_BELOW = "below "


@register.filter
def check_label(code: str) -> str:
    """What was checked; a code that nobody named stands for itself."""
    return str(CHECKS.get(code, code))


@register.filter
def check_value(text: str | None) -> str:
    """What was measured or required; an en dash for nothing."""
    if text is None:
        return "–"
    if text.startswith(_BELOW):
        return _("below %(limit)s") % {"limit": text.removeprefix(_BELOW)}
    return str(_VALUES.get(text, text))


@register.filter
def figure_label(name: str) -> str:
    """What a figure of a reading is called."""
    return str(FIGURES.get(name, name))


@register.filter
def figure_value(value: Any) -> str:
    """A figure as a reader sees it; an en dash where the device has no such thing."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(_VALUES["yes" if value else "no"])
    if isinstance(value, list):
        return ", ".join(map(str, value)) or str(_VALUES["none"])
    if isinstance(value, int | float):
        places = 0 if float(value).is_integer() else 1
        return number_format(round(value, places), places, force_grouping=True)  # number_format cuts, it does not round
    return check_value(str(value))


@register.filter
def action_label(name: str) -> str:
    """What was done to a device."""
    return str(ACTIONS.get(name, name))
