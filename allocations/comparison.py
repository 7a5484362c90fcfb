"""What changed on a device between its handover and its return. Pure, no rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DAMAGE = ("ecc_dbe_aggregate", "remap_uncorrectable", "nvlink_recovery", "pcie_replay")
"""Counters of lasting harm that only grow: what they grew by between start and end belongs to the reservation."""
FLAGS = ("remap_pending", "remap_failed", "retired_pending")
SAME = ("serial", "vbios_version", "inforom_version", "driver_version", "pcie_width", "mig_enabled", "compute_mode")
FLEETING = ("at", "uuid", "clock_event_reasons")


@dataclass(frozen=True)
class Figure:
    """One figure at the start and at the end; `verdict` is same, changed or harm."""

    name: str
    start: Any
    end: Any
    verdict: str


def compare(start: Mapping[str, Any] | None, end: Mapping[str, Any] | None, names: tuple[str, ...]) -> list[Figure]:
    """The named figures of two readings, either of which may be missing. Harm is only said where both were taken."""
    return [
        Figure(name, _plain(name, start), _plain(name, end), _verdict(name, start, end))
        for name in names
        if name in (start or {}) or name in (end or {})
    ]


def harm(start: Mapping[str, Any] | None, end: Mapping[str, Any] | None) -> dict[str, list[Any]]:
    """{figure: [start, end]} of what the reservation left behind: grown counters of harm, and flags that went up."""
    found = compare(start, end, (*DAMAGE, *FLAGS))
    return {figure.name: [figure.start, figure.end] for figure in found if figure.verdict == "harm"}


def _plain(name: str, reading: Mapping[str, Any] | None) -> Any:
    value = (reading or {}).get(name)
    return len(value) if name == "processes" and isinstance(value, list) else value


def _verdict(name: str, start: Mapping[str, Any] | None, end: Mapping[str, Any] | None) -> str:
    if start is None or end is None:
        return "same"
    before, after = start.get(name), end.get(name)
    if name in DAMAGE and isinstance(before, int) and isinstance(after, int) and after > before:
        return "harm"
    if name in FLAGS and after and not before:
        return "harm"
    if name in SAME and before is not None and after is not None and before != after:
        return "changed"
    return "same"
