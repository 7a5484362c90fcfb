"""Which minor numbers and NUMA nodes the devices of a lease have, as /proc (the driver) and /sys (the kernel) say.

The minor number is not NVML's index and not the order of the bus: it is the N of /dev/nvidiaN.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from agent.device_records import MigPlace
from agent.host.base import HostError, Share

DRIVER = Path("/proc/driver/nvidia/gpus")
BUS = Path("/sys/bus/pci/devices")
BUS_ID = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", re.ASCII)
MINOR = re.compile(r"^Device Minor:\s*(\d+)\s*$", re.MULTILINE)
NO_NODE = -1


def share_of(
    leased: Iterable[str],
    bus_ids: Mapping[str, str],
    mig: Mapping[str, MigPlace] | None = None,
    *,
    driver: Path = DRIVER,
    bus: Path = BUS,
) -> Share:
    """The share of a lease on the devices `leased` (UUIDs); `bus_ids` says at which PCI address each GPU is.

    `mig` says of each leased MIG device where it is. Every device that the driver has counts, also one that does not
    answer: the others' cores must not move when it falls out. HostError `no_share` where a leased one is not there.
    """
    places = {folder.name: (_minor(folder), _numa_node(bus / folder.name)) for folder in _folders(driver)}

    def minor_of(uuid: str) -> int:
        return places[short_form(bus_ids[uuid])][0]

    minors, parts = [], []
    try:
        for uuid in leased:
            place = (mig or {}).get(uuid)
            minors.append(minor_of(place.parent if place else uuid))
            if place:
                parts.append((minors[-1], place.gpu_instance, place.compute_instance))
    except KeyError as error:
        raise HostError("no_share") from error
    once = tuple(dict.fromkeys(minors))  # two instances of one GPU
    return Share(device_minors=once, node_devices=tuple(sorted(places.values())), parts=tuple(parts))


def short_form(bus_id: str) -> str:
    """NVML's `00000000:3B:00.0` as the kernel writes it, `0000:3b:00.0`. KeyError where it is no PCI address."""
    found = BUS_ID.fullmatch(bus_id.lower())
    if found is None:
        raise KeyError(bus_id)
    domain, number, device, function = found.groups()
    return f"{int(domain, 16):04x}:{number}:{device}.{function}"


def _folders(driver: Path) -> list[Path]:
    try:
        return sorted(driver.iterdir())
    except OSError as error:
        raise HostError("no_share") from error


def _minor(folder: Path) -> int:
    try:
        found = MINOR.search((folder / "information").read_text())
    except OSError:
        found = None
    if found is None:  # half a list would give this device's cores to its neighbours
        raise HostError("no_share")
    return int(found[1])


def _numa_node(folder: Path) -> int:
    try:
        return int((folder / "numa_node").read_text())
    except (OSError, ValueError):
        return NO_NODE
