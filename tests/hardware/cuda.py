"""A CUDA program without CUDA's tools: libcuda through ctypes, kernels as PTX that the driver compiles.

`python -m tests.hardware.cuda KIND SECONDS [MIB]`; it says `ready` once it stands on the device, and ends by itself.
"""

from __future__ import annotations

import ctypes
import sys
import time

KINDS = ("context", "parked", "spin", "trickle", "copy", "stray", "trap")
MIB = 1 << 20
SPIN_NS = 200_000_000
PTX = b"""
.version 7.0
.target sm_75
.address_size 64
.visible .entry spin(.param .u64 span)
{
    .reg .pred %p<3>;
    .reg .u32 %r<2>;
    .reg .u64 %rd<5>;
    ld.param.u64 %rd1, [span];
    mov.u64 %rd2, %globaltimer;
    add.u64 %rd3, %rd2, %rd1;
    mov.u32 %r1, 100000000;
again:
    sub.u32 %r1, %r1, 1;
    setp.eq.u32 %p2, %r1, 0;
    @%p2 bra done;
    mov.u64 %rd4, %globaltimer;
    setp.lt.u64 %p1, %rd4, %rd3;
    @%p1 bra again;
done:
    ret;
}
.visible .entry stray()
{
    .reg .u32 %r<2>;
    .reg .u64 %rd<2>;
    mov.u64 %rd1, 0x700000000000;
    mov.u32 %r1, 7;
    st.global.u32 [%rd1], %r1;
    ret;
}
.visible .entry stop()
{
    trap;
    ret;
}
"""


class CudaError(Exception):
    """A call of the driver's failed; `code` is its number (700 illegal address, 719 launch failed)."""

    def __init__(self, call: str, code: int) -> None:
        super().__init__(f"{call}: {code}")
        self.code = code


class Cuda:
    """The first device's primary context."""

    def __init__(self) -> None:
        self._driver = ctypes.CDLL("libcuda.so.1")
        self.call("cuInit", 0)
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self.call("cuDeviceGet", ctypes.byref(device), 0)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self.call("cuCtxSetCurrent", context)
        self._module = ctypes.c_void_p()
        self.call("cuModuleLoadData", ctypes.byref(self._module), PTX)

    def call(self, name: str, *arguments: object) -> None:
        """CudaError where the driver does not answer 0."""
        code = getattr(self._driver, name)(*arguments)
        if code:
            raise CudaError(name, code)

    def allocate(self, mib: int) -> ctypes.c_uint64:
        """Device memory, written once."""
        place = ctypes.c_uint64()
        self.call("cuMemAlloc_v2", ctypes.byref(place), ctypes.c_size_t(mib * MIB))
        self.call("cuMemsetD8_v2", place, ctypes.c_ubyte(1), ctypes.c_size_t(mib * MIB))
        self.call("cuCtxSynchronize")
        return place

    def launch(self, kernel: bytes, *arguments: ctypes.c_uint64) -> None:
        """One thread of a kernel, to its end."""
        function = ctypes.c_void_p()
        self.call("cuModuleGetFunction", ctypes.byref(function), self._module, kernel)
        places = (ctypes.c_void_p * max(1, len(arguments)))(*(ctypes.addressof(each) for each in arguments))
        one = ctypes.c_uint(1)
        self.call("cuLaunchKernel", function, *(one,) * 6, ctypes.c_uint(0), None, places, None)
        self.call("cuCtxSynchronize")


def work(kind: str, seconds: float, mib: int) -> None:
    """Do one kind of thing for so long."""
    cuda = Cuda()
    places = [cuda.allocate(mib)] if mib else []
    until = time.monotonic() + seconds
    if kind == "copy":
        places.append(cuda.allocate(mib))
    print("ready", flush=True)
    if kind in ("stray", "trap"):
        cuda.launch(b"stray" if kind == "stray" else b"stop")
    while (left := until - time.monotonic()) > 0:
        if kind == "spin":
            cuda.launch(b"spin", ctypes.c_uint64(SPIN_NS))
        elif kind == "trickle":
            cuda.launch(b"spin", ctypes.c_uint64(5_000_000))
            time.sleep(0.2)
        elif kind == "copy":
            for _ in range(20):
                cuda.call("cuMemcpyDtoD_v2", places[0], places[1], ctypes.c_size_t(mib * MIB))
            cuda.call("cuCtxSynchronize")
        else:
            time.sleep(left)


def main() -> int:
    """Exit codes: 0 done, 3 the driver refused."""
    kind, seconds = sys.argv[1], float(sys.argv[2])
    try:
        work(kind, seconds, int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    except CudaError as error:
        print(error, flush=True)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
