"""Settings of a device as a lease is to find it, and what was done to bring it there."""

from __future__ import annotations

from collections.abc import Iterable

from agent import nvml
from agent.device_records import Action, DeviceReading, NvmlError, Setting, SettingValue
from agent.host.base import Host, HostError

Change = tuple[Setting, SettingValue, str]
"""A setting, the value that it is to have, and the same in words for the evidence."""


def put_in_order(host: Host, uuids: Iterable[str]) -> dict[str, list[Action]]:
    """Persistence on, everybody may compute, power limit at its default; {UUID: what was done or refused}.

    What is right already is left alone and not listed. A device that does not answer has no actions: its check says so.
    """
    done = {}
    for uuid in uuids:
        try:
            done[uuid] = [_try(host, uuid, change) for change in _wanted(nvml.reading(uuid))]
        except NvmlError:
            done[uuid] = []
    return done


def _wanted(seen: DeviceReading) -> list[Change]:
    wanted: list[Change] = []
    if seen.persistence_mode is False:
        wanted.append(("persistence_mode", True, "on"))
    if seen.compute_mode not in (None, "default"):
        wanted.append(("compute_mode", "default", "default"))
    if seen.power_limit_watts != seen.power_default_watts:
        wanted.append(("power_limit", None, f"{seen.power_default_watts} W"))
    return wanted


def _try(host: Host, uuid: str, change: Change) -> Action:
    setting, value, words = change
    try:
        host.set_device(uuid, setting, value)
    except HostError as error:
        return Action(setting, words, error.code)
    return Action(setting, words, "done")
