"""The state file: one struct, mapped by every process. Python writers take a lock, C readers only look at seqlocks."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from simulator import layout


class StateError(RuntimeError):
    """The state file is missing, foreign, or of another version."""


class StateFile:
    """A mapped state file. `view` is a ctypes mirror of `sim_state`; write to it only inside `locked()`."""

    def __init__(self, path: Path) -> None:
        """Map an existing file; StateError where it is none of ours."""
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise StateError(f"cannot open the state file {path}: {error.strerror}") from error
        if os.fstat(self._descriptor).st_size != layout.STATE_BYTES:
            os.close(self._descriptor)
            raise StateError(f"{path} is not a state file of this version; delete it to start afresh")
        self._map = mmap.mmap(self._descriptor, layout.STATE_BYTES)
        self.view: Any = layout.STATE.from_buffer(self._map)
        header = self.view.header
        if header.magic != layout.MAGIC or header.abi_version != layout.ABI_VERSION:
            self.close()
            raise StateError(f"{path} is not a state file of this version; delete it to start afresh")

    @staticmethod
    def create(path: Path, state: Any) -> None:
        """Write a new file in one step, replacing what lies there. `state` is an instance of layout.STATE."""
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        with os.fdopen(descriptor, "wb") as file:
            file.write(bytes(state))
        os.chmod(scratch, 0o644)
        os.replace(scratch, path)

    def close(self) -> None:
        """Unmap; the object must not be used afterwards."""
        self.view = None
        try:
            self._map.close()
        except BufferError:  # someone still holds a part of the view: the mapping goes with it
            pass
        os.close(self._descriptor)

    @contextmanager
    def locked(self) -> Iterator[Any]:
        """Hold the writers' lock; gives the view. Readers never wait for it.

        A descriptor of its own for each hold, because a flock belongs to the open file and not to the thread.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield self.view
        finally:
            os.close(descriptor)


@contextmanager
def writing(device: Any) -> Iterator[Any]:
    """Make a change of a device's fields appear whole to readers (odd sequence number while inside)."""
    device.seq = device.seq | 1
    try:
        yield device
    finally:
        device.seq = (device.seq + 1) & 0xFFFFFFFF


def process_start_ticks(pid: int) -> int | None:
    """The start time of a live process in clock ticks since boot, None where it is gone or a zombie (proc(5))."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if not fields or fields[0] in "ZXx" else int(fields[19])


def empty_state() -> Any:
    """A zeroed state with the magic number and version filled in."""
    state = layout.STATE()
    ctypes.memset(ctypes.byref(state), 0, layout.STATE_BYTES)
    state.header.magic = layout.MAGIC
    state.header.abi_version = layout.ABI_VERSION
    return state
