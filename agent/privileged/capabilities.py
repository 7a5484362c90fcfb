"""What a request of root's does not need, it gives up before it does anything."""

from __future__ import annotations

import ctypes
import os

VERSION_3 = 0x20080522
MKNOD, SYS_ADMIN = 27, 21
"""The driver takes nobody for its administrator but who has CAP_SYS_ADMIN, and its library makes device nodes."""


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Word(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def give_up(*numbers: int) -> None:
    """Lose capabilities for good: under NoNewPrivileges no programme that is run brings them back. OSError if not."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, words = _Header(VERSION_3, 0), (_Word * 2)()
    if libc.capget(ctypes.byref(header), words):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    for number in numbers:
        word, left = words[number // 32], ~(1 << number % 32) & 0xFFFF_FFFF
        word.effective, word.permitted = word.effective & left, word.permitted & left
        word.inheritable &= left
    if libc.capset(ctypes.byref(header), words):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
