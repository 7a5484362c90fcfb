"""Kinds of servers, one TOML file each: what a node of that kind says of itself, and how warm and hungry it is."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Profile:
    """One kind of server. Every device on it is alike; fields carry their units."""

    key: str
    name: str
    devices: int
    memory_total_mib: int
    memory_reserved_mib: int
    architecture: int
    compute_capability: list[int]
    pci_device_id: int
    pci_subsystem_id: int
    part_number: str
    vbios: str
    inforom: str
    power_min_watts: int
    power_max_watts: int
    idle_watts: int
    pcie_generation: int
    nvlink_links: int
    nvlink_version: int
    fabric: bool
    gpm: bool
    mig: bool
    row_remap: bool
    sm_clock_mhz: int
    idle_sm_clock_mhz: int
    memory_clock_mhz: int
    idle_pstate: int
    idle_celsius: int
    load_celsius: int
    slowdown_celsius: int
    shutdown_celsius: int
    max_celsius: int
    driver_version: str
    cuda_version: int
    context_watts: int = 0
    """What an open context draws beyond idling, whatever it does: clocks stay up. 0 where nobody has measured it."""
    mig_profiles: list[dict[str, Any]] = field(default_factory=list)


def names() -> list[str]:
    """The profiles that exist, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(key: str) -> Profile:
    """The profile of that name; KeyError names the ones that exist."""
    path = FOLDER / f"{key}.toml"
    if key not in names():
        raise KeyError(f"no profile {key!r}; there are: {', '.join(names())}")
    return Profile(key=key, **tomllib.loads(path.read_text()))
