"""The driver, asked in root's own process: the one part of root's that needs more than the standard library.

`agent.nvml` is loaded when a device is asked for and not before, so that logins are opened and ended without it. Every
call stands under its watchdog: a driver that hangs costs the request its patience and no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from agent.privileged.places import Refused

VERBS = ("device", "partition")
"""What needs the rights that `capabilities.give_up` takes from every other request."""


@contextmanager
def _told() -> Iterator[None]:
    """NVML's errors as refusals with its own code."""
    from agent.device_records import NvmlError

    try:
        yield
    except NvmlError as error:
        raise Refused(error.code, str(error)) from error


def minor_of(uuid: str) -> int:
    """The minor number, as the driver says it and not as the agent does."""
    from agent import nvml

    with _told():
        return nvml.minor_of(uuid)


def plan_layout(uuid: str, layout: tuple[tuple[str, int], ...]) -> Any:
    """What is missing to a MIG layout, as `partition` takes it."""
    from agent import nvml

    with _told():
        return nvml.plan_layout(uuid, layout)


def partition(uuid: str, plan: Any) -> list[dict[str, Any]]:
    """Carry it out; the MIG devices that there are then."""
    from agent import nvml

    with _told():
        return [asdict(each) for each in nvml.partition(uuid, plan)]


def set_device(uuid: str, setting: Any, value: Any) -> dict[str, Any]:
    """Change a setting; what it was before, for the log."""
    from agent import nvml

    with _told():
        before = nvml.device_facts(uuid)
        was = {"power_limit": before.power_limit_watts}.get(setting, getattr(before, setting, None))
        nvml.set_device(uuid, setting, value)
    return {"was": was}
