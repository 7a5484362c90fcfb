"""Settings of a device as a lease is to find it, and what was done to bring it there."""

from __future__ import annotations

from collections.abc import Iterable

from agent import nvml
from agent.device_records import Action, DeviceReading, NvmlError, Setting, SettingValue, is_mig
from agent.host.base import Host, HostError

Change = tuple[Setting, SettingValue, str]
"""A setting, the value that it is to have, and the same in words for the evidence."""


def put_in_order(host: Host, uuids: Iterable[str]) -> dict[str, list[Action]]:
    """A whole device: MIG off, persistence on, everybody may compute, power limit at its default.

    {UUID: what was done or refused}. What is right already is left alone and not listed. A device that does not answer
    has no actions: its check says so. Nothing is done for a MIG device: its GPU is its neighbours', too.
    """
    done: dict[str, list[Action]] = {}
    for uuid in uuids:
        try:
            seen = None if is_mig(uuid) else nvml.reading(uuid)
            made_whole = [_make_whole(host, uuid)] if seen and seen.mig_enabled else []
            done[uuid] = [*made_whole, *(_try(host, uuid, change) for change in (_wanted(seen) if seen else []))]
        except NvmlError:
            done[uuid] = []
    return done


def _make_whole(host: Host, uuid: str) -> Action:
    """MIG off."""
    try:
        host.partition_device(uuid, ())
    except HostError as error:
        return Action("mig_mode", "off", error.code)
    return Action("mig_mode", "off", "done")


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
