"""Compile the C shim to libnvidia-ml.so.1, once per source, with the system's compiler or the ziglang wheel."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from simulator import layout

SONAME = "libnvidia-ml.so.1"
SHIM = Path(__file__).resolve().parent / "shim"
FLAGS = ("-std=gnu11", "-O2", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden", "-Wall", "-Wextra")


class BuildError(RuntimeError):
    """No compiler could make the library; the text names what was tried."""


def cache_folder() -> Path:
    """Where built libraries are kept: NVML_SIM_CACHE, else var/sim beside the package."""
    return Path(os.environ.get("NVML_SIM_CACHE") or SHIM.parent.parent / "var" / "sim").resolve()


def source_hash() -> str:
    """Changes with any source, flag or machine type that changes the library."""
    digest = hashlib.sha256("\0".join((*FLAGS, platform.machine(), layout.header_text())).encode())
    for source in sorted(SHIM.iterdir()):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


def compilers() -> list[list[str]]:
    """The commands worth trying, best first: $CC, cc, and the C compiler inside the ziglang wheel."""
    found = [[name] for name in (os.environ.get("CC"), "cc", "gcc", "clang") if name and shutil.which(name)]
    if importlib.util.find_spec("ziglang"):
        found.append([sys.executable, "-m", "ziglang", "cc"])
    return found


def compile_into(folder: Path, compiler: list[str]) -> subprocess.CompletedProcess[str]:
    """Compile with one compiler; the result lies in folder/libnvidia-ml.so.1 when the return code is 0."""
    (folder / "sim_abi.h").write_text(layout.header_text())
    sources = sorted(str(path) for path in SHIM.glob("*.c"))
    command = [*compiler, *FLAGS, f"-Wl,-soname,{SONAME}", f"-I{folder}", f"-I{SHIM}", *sources]
    environment = {**os.environ}
    environment.setdefault("ZIG_GLOBAL_CACHE_DIR", str(cache_folder() / "zig"))
    environment.setdefault("ZIG_LOCAL_CACHE_DIR", str(folder / "zig"))
    return subprocess.run(
        [*command, "-o", str(folder / SONAME)], env=environment, capture_output=True, text=True, check=False
    )


def library() -> Path:
    """Path of the built library; builds it first where needed. Safe when several processes ask at once.

    Raises BuildError when no compiler is found or all fail.
    """
    target = cache_folder() / source_hash()
    if (target / SONAME).exists():
        return target / SONAME
    target.parent.mkdir(parents=True, exist_ok=True)
    tried = []
    for compiler in compilers():
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="build-") as scratch:
            result = compile_into(Path(scratch), compiler)
            if result.returncode == 0:
                _publish(Path(scratch) / SONAME, target)
                return target / SONAME
            tried.append(f"{' '.join(compiler)}: {result.stderr.strip()[-2000:]}")
    reason = "\n".join(tried) or "no C compiler found (install cc, or pip install ziglang)"
    raise BuildError(f"cannot build {SONAME}: {reason}")


def _publish(built: Path, target: Path) -> None:
    """Rename into place: a reader sees no library or a whole one, whoever wins among concurrent builders."""
    target.mkdir(exist_ok=True)
    os.replace(built, target / SONAME)
