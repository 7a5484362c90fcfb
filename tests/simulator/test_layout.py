"""The generated structs are NVML's."""

import ctypes

import pynvml  # type: ignore[import-untyped, unused-ignore]
import pytest

from simulator import layout

PAIRS = {
    "nvmlMemory": "c_nvmlMemory_t",
    "nvmlMemory_v2": "c_nvmlMemory_v2_t",
    "nvmlBAR1Memory": "c_nvmlBAR1Memory_t",
    "nvmlUtilization": "c_nvmlUtilization_t",
    "nvmlPciInfo": "nvmlPciInfo_t",
    "nvmlViolationTime": "c_nvmlViolationTime_t",
    "nvmlProcessInfo": "c_nvmlProcessInfo_v3_t",
    "nvmlProcessUtilizationSample": "c_nvmlProcessUtilizationSample_t",
    "nvmlFieldValue": "c_nvmlFieldValue_t",
    "nvmlEventData": "c_nvmlEventData_t",
    "nvmlTemperature_v1": "c_nvmlTemperature_v1_t",
    "nvmlGpuFabricInfo": "c_nvmlGpuFabricInfo_t",
    "nvmlGpuFabricInfo_v2": "c_nvmlGpuFabricInfo_v2_t",
    "nvmlGpuFabricInfo_v3": "c_nvmlGpuFabricInfo_v3_t",
    "nvmlAccountingStats": "c_nvmlAccountingStats_t",
    "nvmlSample": "c_nvmlSample_t",
    "nvmlRowRemapperHistogramValues": "c_nvmlRowRemapperHistogramValues",
    "nvmlEccSramErrorStatus_v1": "c_nvmlEccSramErrorStatus_v1_t",
    "nvmlGpuInstancePlacement": "c_nvmlGpuInstancePlacement_t",
    "nvmlGpuInstanceProfileInfo": "c_nvmlGpuInstanceProfileInfo_t",
    "nvmlGpuInstanceProfileInfo_v2": "c_nvmlGpuInstanceProfileInfo_v2_t",
    "nvmlGpuInstanceInfo": "c_nvmlGpuInstanceInfo_t",
    "nvmlComputeInstancePlacement": "c_nvmlComputeInstancePlacement_t",
    "nvmlComputeInstanceProfileInfo": "c_nvmlComputeInstanceProfileInfo_t",
    "nvmlComputeInstanceProfileInfo_v2": "c_nvmlComputeInstanceProfileInfo_v2_t",
    "nvmlComputeInstanceInfo": "c_nvmlComputeInstanceInfo_t",
    "nvmlDeviceAttributes": "c_nvmlDeviceAttributes",
    "nvmlGpmSupport": "c_nvmlGpmSupport_t",
    "nvmlGpmMetric": "c_nvmlGpmMetric_t",
    "nvmlGpmMetricsGet_t": "c_nvmlGpmMetricsGet_t",
}


@pytest.mark.parametrize(("ours", "theirs"), PAIRS.items())
def test_a_struct_has_the_size_and_offsets_of_pynvmls(ours: str, theirs: str) -> None:
    mine, real = layout.CLASSES[ours], getattr(pynvml, theirs)
    assert ctypes.sizeof(mine) == ctypes.sizeof(real)
    offsets = [getattr(real, name).offset for name, *_ in real._fields_]
    assert [getattr(mine, name).offset for name, *_ in mine._fields_][: len(offsets)] == offsets


def test_every_nvml_struct_is_compared() -> None:
    assert {name for name in layout.STRUCTS if name.startswith("nvml")} == set(PAIRS)


def test_every_return_code_is_nvmls() -> None:
    for name, (code, _) in layout.RETURN_CODES.items():
        assert code == (0 if name == "SUCCESS" else getattr(pynvml, f"NVML_ERROR_{name}")), name


def test_only_the_real_package_is_installed() -> None:
    """The retired `pynvml` distribution puts an import hook in the way."""
    from importlib import metadata

    with pytest.raises(metadata.PackageNotFoundError):
        metadata.distribution("pynvml")
