"""XID events as the driver tells them."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from datetime import UTC, datetime

import pynvml  # type: ignore[import-untyped, unused-ignore]

from agent.device_records import NvmlError, XidEvent
from agent.nvml.library import call, ensure_started, handle_of, quietly


class XidSource:
    """The driver's XID events for some devices. Events before it was made are lost: the kernel log has those.

    Use from one thread. `wait` blocks without holding the interpreter's lock.
    """

    def __init__(self, uuids: Iterable[str]) -> None:
        """Register; devices that do not answer or have no events are left out and listed in `unwatched`."""
        self._names: dict[int, str] = {}
        self.unwatched: list[str] = []
        ensure_started()
        self._events = call(pynvml.nvmlEventSetCreate)
        for uuid in uuids:
            try:
                handle = handle_of(uuid)
                wanted = call(pynvml.nvmlDeviceGetSupportedEventTypes, handle) & pynvml.nvmlEventTypeXidCriticalError
                call(pynvml.nvmlDeviceRegisterEvents, handle, wanted, self._events)
                self._names[ctypes.cast(handle, ctypes.c_void_p).value or 0] = uuid
            except NvmlError:
                self.unwatched.append(uuid)

    def wait(self, timeout_ms: int) -> XidEvent | None:
        """The next XID, None where none came in time. NvmlError where the set is of no more use: make a new one."""
        try:
            event = call(pynvml.nvmlEventSetWait_v2, self._events, timeout_ms)
        except NvmlError as error:
            if error.code == "TIMEOUT":
                return None
            raise
        uuid = self._names.get(ctypes.cast(event.device, ctypes.c_void_p).value or 0, "")
        return XidEvent(uuid, int(event.eventData), datetime.now(UTC))

    def close(self) -> None:
        """Free the set."""
        quietly(pynvml.nvmlEventSetFree, self._events)
