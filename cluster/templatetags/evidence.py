"""The words for what a node found out about a device; the codes are the agent's (agent/device_checks.py)."""

from typing import Any

from django import template
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
    "mig_enabled": gettext_lazy("MIG mode"),
    "ecc_dbe_aggregate_unchanged": gettext_lazy("Uncorrected ECC errors, lifetime"),
    "remap_uncorrectable_unchanged": gettext_lazy("Rows remapped after uncorrected errors"),
    "nvlink_recovery_unchanged": gettext_lazy("NVLink recoveries"),
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
