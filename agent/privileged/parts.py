"""MIG instances: which capability files open them, and where on their device they lie.

The driver says the first (`/proc/driver/nvidia/capabilities`, MIG User Guide, "Device Nodes and Capabilities"); the
second is what `partition` left here, because a request that opens a login has no rights to ask the driver.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from agent.privileged.files import write_whole
from agent.privileged.places import Places, Refused

MINOR = re.compile(r"^DeviceFileMinor:\s*([0-9]+)\s*$", re.MULTILINE | re.ASCII)
Part = tuple[int, int, int]
"""Minor number, GPU instance, compute instance."""
Extent = tuple[int, int, int]
"""First memory slice, how many, of how many."""


def capability_minors(places: Places, parts: tuple[Part, ...]) -> tuple[int, ...]:
    """The numbers of the nodes below nvidia-caps that these instances need; Refused `no_device` where one is not."""
    found = []
    for minor, gpu, compute in parts:
        folder = places.capabilities / f"gpu{minor}/mig/gi{gpu}"
        found += [_minor(folder / "access"), _minor(folder / f"ci{compute}/access")]
    return tuple(found)


def _minor(path: Path) -> int:
    try:
        said = MINOR.search(path.read_text())
    except OSError:
        said = None
    if said is None:
        raise Refused("no_device", str(path))
    return int(said[1])


def keep(places: Places, minor: int, instances: list[dict[str, Any]]) -> None:
    """Note how a device is partitioned now. The caller holds the device's lock."""
    said = {str(each["gpu_instance"]): [each["start"], each["size"], each["of"]] for each in instances}
    write_whole(_path(places, minor), json.dumps(said), 0o600)


def extents(places: Places, parts: tuple[Part, ...]) -> dict[int, list[Extent]]:
    """Of each device that is leased in parts, which; Refused `no_share` for one that `partition` did not make."""
    found: dict[int, list[Extent]] = {}
    for minor, gpu, _ in parts:
        try:
            start, size, whole = json.loads(_path(places, minor).read_text())[str(gpu)]
        except (OSError, ValueError, KeyError) as error:
            raise Refused("no_share", f"instance {gpu} of device {minor} was not made here") from error
        found.setdefault(minor, []).append((start, size, whole))
    return found


def _path(places: Places, minor: int) -> Path:
    return places.state / f"layout-{minor}.json"
