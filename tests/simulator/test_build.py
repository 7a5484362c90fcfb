"""The shim builds with either compiler, once, also when several ask together."""

import ctypes
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from simulator import build


def test_concurrent_builders_get_the_same_whole_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVML_SIM_CACHE", str(tmp_path))
    with ThreadPoolExecutor(3) as pool:
        paths = set(pool.map(lambda _: build.library(), range(3)))
    assert len(paths) == 1
    assert ctypes.CDLL(str(paths.pop())).nvmlErrorString
    assert [path.name for path in tmp_path.iterdir()] == [build.source_hash()], "no scratch folder stays behind"


def test_the_compiler_warns_of_nothing(tmp_path: Path) -> None:
    result = build.compile_into(tmp_path, build.compilers()[0])
    assert (result.returncode, result.stderr) == (0, "")


def test_the_ziglang_wheel_compiles_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = build.compile_into(tmp_path, [sys.executable, "-m", "ziglang", "cc"])
    assert result.returncode == 0, result.stderr
    assert ctypes.CDLL(str(tmp_path / build.SONAME)).nvmlInit_v2() == 9


def test_a_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVML_SIM_CACHE", str(tmp_path))
    monkeypatch.setattr(build, "compilers", list)
    with pytest.raises(build.BuildError, match="no C compiler"):
        build.library()
