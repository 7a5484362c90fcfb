"""Settings of a device as a lease is to find it, and what was done to bring it there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from agent import nvml
from agent.device_records import Action, DeviceReading, NvmlError


def put_in_order(uuids: Iterable[str]) -> dict[str, list[Action]]:
    """Persistence on, everybody may compute, power limit at its default; {UUID: what was done or refused}.

    What is right already is left alone and not listed. A device that does not answer has no actions: its check says so.
    """
    done = {}
    for uuid in uuids:
        try:
            done[uuid] = [_try(name, value, act) for name, value, act in _wanted(nvml.reading(uuid))]
        except NvmlError:
            done[uuid] = []
    return done


def _wanted(seen: DeviceReading) -> list[tuple[str, str, Callable[[], None]]]:
    wanted: list[tuple[str, str, Callable[[], None]]] = []
    if seen.persistence_mode is False:
        wanted.append(("persistence_mode", "on", partial(nvml.set_persistence_mode, seen.uuid, True)))
    if seen.compute_mode not in (None, "default"):
        wanted.append(("compute_mode", "default", partial(nvml.set_compute_mode, seen.uuid, "default")))
    if seen.power_limit_watts != seen.power_default_watts:
        value = f"{seen.power_default_watts} W"
        wanted.append(("power_limit", value, partial(nvml.set_power_limit, seen.uuid, None)))
    return wanted


def _try(name: str, value: str, act: Callable[[], None]) -> Action:
    try:
        act()
    except NvmlError as error:
        return Action(name, value, error.code)
    return Action(name, value, "done")
