"""Loading the library, calling it, and handles of devices. Everything else in this package stands on it.

The library is initialised on first use in each process, anew after a fork, because a driver's client does not survive
one. Every call is counted and timed: what the agent costs the driver is told with its own health.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pynvml  # type: ignore[import-untyped, unused-ignore]

from agent.device_records import NvmlError, is_mig
from agent.nvml import numbers

CODE_NAMES: dict[int, str] = {
    value: name.removeprefix("NVML_ERROR_") for name, value in vars(pynvml).items() if name.startswith("NVML_ERROR_")
}
COSTS_KEPT = 4096

_lock = threading.Lock()
_initialised = False
_library: str | None = None
_handles: dict[str, Any] = {}
_costs: deque[int] = deque(maxlen=COSTS_KEPT)
_calls = [0]
_at_restart: list[Callable[[], None]] = []
inside: dict[int, str] = {}
"""Ident of a thread to the function that it is inside of, for the watchdog to name the one that hangs."""
WAITS = frozenset({"nvmlEventSetWait_v2"})
"""What blocks on purpose says nothing about the driver's cost."""


@dataclass(frozen=True)
class Cost:
    """What the library has been asked in this process: calls since its start, and how long the recent ones took."""

    calls: int
    p50_us: int | None
    p99_us: int | None


def _forget_after_fork() -> None:
    global _lock, _initialised
    _lock, _initialised = threading.Lock(), False
    _handles.clear()
    _costs.clear()
    inside.clear()
    _calls[0] = 0


os.register_at_fork(after_in_child=_forget_after_fork)


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a pynvml function; its error becomes ours."""
    name, thread = function.__name__, threading.get_ident()
    inside[thread] = name
    started = time.perf_counter_ns()
    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        raise NvmlError(CODE_NAMES.get(error.value, str(error.value)), name) from error
    finally:
        inside.pop(thread, None)
        if name not in WAITS:
            _costs.append((time.perf_counter_ns() - started) // 1000)
            _calls[0] += 1  # threads may lose a count to each other; it is a figure, not an account


def cost() -> Cost:
    """See Cost."""
    recent = sorted(_costs.copy())
    if not recent:
        return Cost(_calls[0], None, None)
    return Cost(_calls[0], recent[len(recent) // 2], recent[min(len(recent) - 1, len(recent) * 99 // 100)])


def optional(*attempts: Callable[[], Any]) -> Any:
    """The first attempt that the device and driver have; None where they have none. Other errors are raised."""
    for attempt in attempts:
        try:
            return attempt()
        except NvmlError as error:
            if error.code not in numbers.ABSENT:
                raise
    return None


def maybe(function: Callable[..., Any], *arguments: Any) -> Any:
    """The answer of a function, None where the device or the driver has no such thing."""
    return optional(lambda: call(function, *arguments))


def quietly(function: Callable[..., Any], *arguments: Any) -> None:
    """Call, whatever becomes of it."""
    try:
        call(function, *arguments)
    except NvmlError:
        pass


def use_library(path: str | None) -> None:
    """Name the libnvidia-ml.so.1 to load; to be called before anything else. Without it NVML_LIBRARY, then ld.so."""
    global _library
    _library = path


def ensure_started() -> None:
    """Load and initialise in this process, once. A library loaded under the SONAME is the one that pynvml gets."""
    global _initialised
    with _lock:
        if _initialised:
            return
        path = _library or os.environ.get("NVML_LIBRARY")
        if path:
            try:
                ctypes.CDLL(path)
            except OSError as error:
                raise NvmlError("LIBRARY_NOT_FOUND", path) from error
        call(pynvml.nvmlInit)
        _initialised = True


def at_restart(forget: Callable[[], None]) -> None:
    """Have something that lives in the library let go of before it is shut down."""
    _at_restart.append(forget)


def restart() -> None:
    """Shut down and forget every handle; the next call starts again. For after a reset, a lost device, a new driver."""
    global _initialised
    with _lock:
        for forget in _at_restart:
            forget()
        _handles.clear()
        if _initialised:
            quietly(pynvml.nvmlShutdown)
        _initialised = False


def keep_handle(uuid: str, handle: Any) -> None:
    """Remember the handle of a device."""
    _handles[uuid] = handle


def handle_of(uuid: str) -> Any:
    """The handle of a device. No lock is held while the driver is asked: one that hangs must not stop the others.

    A MIG device's is asked for each time: it dies with its instance, and may be another one's afterwards (nvml.h).
    """
    ensure_started()
    known = _handles.get(uuid)
    if known is None:
        known = call(pynvml.nvmlDeviceGetHandleByUUID, uuid)
        if not is_mig(uuid):
            _handles[uuid] = known
    return known


def forget_handles() -> None:
    """Ask for every handle anew: after MIG was switched, the driver may have brought the device back as another."""
    _handles.clear()


def watts(milliwatts: int | None) -> float | None:
    """Watts of milliwatts."""
    return None if milliwatts is None else milliwatts / 1000


def flag(value: int | None) -> bool | None:
    """NVML's 0 or 1."""
    return None if value is None else bool(value)


def newest(handle: Any, new: str, old: str, *arguments: Any) -> int | None:
    """A number by the call's present name, by its old one on an old driver, or None."""
    names = [name for name in (new, old) if hasattr(pynvml, name)]
    value = optional(*[lambda name=name: call(getattr(pynvml, name), handle, *arguments) for name in names])
    return None if value is None else int(value)
