"""MIG: how a device is partitioned, and partitioning it anew. Each function asks one device, unguarded.

What a driver tells everybody is which MIG devices there are; where in memory they lie, and where others could go, it
tells root alone (nvml.h of NVIDIA's nvml-dev package, 13.5: "requires privileged user").
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pynvml  # type: ignore[import-untyped, unused-ignore]

from agent.device_records import Layout, MigInstance, MigPlace, NvmlError
from agent.nvml import numbers
from agent.nvml.library import call, forget_handles, handle_of, maybe
from agent.nvml.processes import processes

ON, OFF = 1, 0
MOST_PLACES = 32
RESET_REQUIRED = "RESET_REQUIRED"


@dataclass(frozen=True)
class Profile:
    """A kind of GPU instance. `slices` compute slices; `size` memory slices, at one of `starts`; at most `count`."""

    name: str
    id: int
    slices: int
    size: int
    starts: tuple[int, ...]
    count: int


@dataclass(frozen=True)
class GpuInstance:
    """A GPU instance that there is: its id, its profile's, and where it starts in memory slices."""

    id: int
    profile: int
    start: int


@dataclass(frozen=True)
class Plan:
    """What is missing to a wanted layout: which mode MIG has then, which GPU instances go, which come."""

    mode: int
    going: tuple[GpuInstance, ...]
    coming: tuple[tuple[Profile, int], ...]


def instances_of(uuid: str) -> tuple[MigInstance, ...]:
    """The MIG devices of a device; empty where MIG is off, or is not to be had."""
    handle = handle_of(uuid)
    mode = maybe(pynvml.nvmlDeviceGetMigMode, handle)
    if not mode or mode[0] != ON:
        return ()
    found = []
    for index in range(call(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle)):
        try:
            mig = call(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index)
        except NvmlError as error:
            if error.code == "NOT_FOUND":  # the count is of what there may be
                continue
            raise
        found.append(_instance(mig))
    return tuple(found)


def _instance(mig: Any) -> MigInstance:
    return MigInstance(
        uuid=str(call(pynvml.nvmlDeviceGetUUID, mig)),
        profile=str(call(pynvml.nvmlDeviceGetName, mig)).rpartition("MIG ")[2],
        gpu_instance=int(call(pynvml.nvmlDeviceGetGpuInstanceId, mig)),
        compute_instance=int(call(pynvml.nvmlDeviceGetComputeInstanceId, mig)),
        memory_mib=int(call(pynvml.nvmlDeviceGetAttributes_v2, mig).memorySizeMB),
    )


def told_instances(uuid: str) -> tuple[MigInstance, ...]:
    """The MIG devices of a device, with their places where this process may ask for them."""
    there = instances_of(uuid)
    try:
        return placed_instances(uuid) if there else ()
    except NvmlError as error:
        if error.code != "NO_PERMISSION":
            raise
        return there


def place_of(uuid: str) -> MigPlace:
    """Where a MIG device is: its GPU's UUID and its instances' ids."""
    mig = handle_of(uuid)
    parent = call(pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle, mig)
    return MigPlace(
        parent=str(call(pynvml.nvmlDeviceGetUUID, parent)),
        gpu_instance=int(call(pynvml.nvmlDeviceGetGpuInstanceId, mig)),
        compute_instance=int(call(pynvml.nvmlDeviceGetComputeInstanceId, mig)),
    )


def profiles_of(uuid: str) -> dict[str, Profile]:
    """The kinds that a device offers, by name. Root only: with where they may lie."""
    handle = handle_of(uuid)
    found = {}
    for kind in range(pynvml.NVML_GPU_INSTANCE_PROFILE_COUNT):
        try:
            info = call(pynvml.nvmlDeviceGetGpuInstanceProfileInfo, handle, kind)
        except NvmlError as error:
            if error.code in numbers.ABSENT or error.code == "INVALID_ARGUMENT":  # not a kind of this device
                continue
            raise
        places = _places(handle, info.id)
        if not places:
            continue
        name = (info.name.decode() if isinstance(info.name, bytes) else str(info.name)).removeprefix("MIG ")
        starts = tuple(int(place.start) for place in places)
        found[name] = Profile(
            name, int(info.id), int(info.sliceCount), int(places[0].size), starts, int(info.instanceCount)
        )
    return found


def _places(handle: Any, profile: int) -> list[Any]:
    places, count = (pynvml.c_nvmlGpuInstancePlacement_t * MOST_PLACES)(), ctypes.c_uint(MOST_PLACES)
    call(pynvml.nvmlDeviceGetGpuInstancePossiblePlacements, handle, profile, places, ctypes.byref(count))
    return list(places[: count.value])


def gpu_instances_of(uuid: str) -> tuple[GpuInstance, ...]:
    """The GPU instances of a device, in the order of their places. Root only."""
    handle = handle_of(uuid)
    if call(pynvml.nvmlDeviceGetMigMode, handle)[0] != ON:
        return ()
    profiles = profiles_of(uuid).values()
    infos = [call(pynvml.nvmlGpuInstanceGetInfo, gpu) for each in profiles for gpu in _gpu_instances(handle, each)]
    there = [GpuInstance(int(info.id), int(info.profileId), int(info.placement.start)) for info in infos]
    return tuple(sorted(there, key=lambda each: each.start))


def _gpu_instances(handle: Any, profile: Profile) -> Iterator[Any]:
    many, count = (pynvml.c_nvmlGpuInstance_t * max(profile.count, MOST_PLACES))(), ctypes.c_uint()
    call(pynvml.nvmlDeviceGetGpuInstances, handle, profile.id, many, ctypes.byref(count))
    yield from many[: count.value]


def placed_instances(uuid: str) -> tuple[MigInstance, ...]:
    """The MIG devices of a device with their places in its memory. Root only."""
    profiles = {each.id: each for each in profiles_of(uuid).values()}
    whole = max((start + each.size for each in profiles.values() for start in each.starts), default=0)
    there = {gpu.id: gpu for gpu in gpu_instances_of(uuid)}
    return tuple(
        replace(each, start=gpu.start, size=profiles[gpu.profile].size, of=whole)
        for each in instances_of(uuid)
        if (gpu := there.get(each.gpu_instance)) is not None
    )


def plan(uuid: str, wanted: Layout) -> Plan:
    """What makes a device into a layout.

    Changes nothing. INVALID_ARGUMENT for a layout that the device cannot have, NOT_SUPPORTED where it has no MIG.
    """
    handle = handle_of(uuid)
    call(pynvml.nvmlDeviceGetMigMode, handle)  # NOT_SUPPORTED where there is none
    profiles = profiles_of(uuid)
    _check_layout(profiles, wanted)
    keeping = {(profiles[name].id, start) for name, start in wanted}
    there = gpu_instances_of(uuid)
    have = {(each.profile, each.start) for each in there}
    return Plan(
        mode=ON if wanted else OFF,
        going=tuple(each for each in there if (each.profile, each.start) not in keeping),
        coming=tuple(
            (profiles[name], start) for name, start in sorted(wanted) if (profiles[name].id, start) not in have
        ),
    )


def _check_layout(profiles: dict[str, Profile], wanted: Layout) -> None:
    taken: set[int] = set()
    slices = 0
    for name, start in wanted:
        profile = profiles.get(name)
        if profile is None or start not in profile.starts:
            raise NvmlError("INVALID_ARGUMENT", f"MIG layout: {name} at {start}")
        place = set(range(start, start + profile.size))
        slices += profile.slices
        if place & taken:
            raise NvmlError("INVALID_ARGUMENT", f"MIG layout: {name} at {start} lies over another")
        taken |= place
    for name in {name for name, _ in wanted}:
        if sum(each == name for each, _ in wanted) > profiles[name].count:
            raise NvmlError("INVALID_ARGUMENT", f"MIG layout: more than {profiles[name].count} of {name}")
    if slices > max((profile.slices for profile in profiles.values()), default=0):
        raise NvmlError("INVALID_ARGUMENT", "MIG layout: more compute slices than the device has")


def carry_out(uuid: str, wanted: Plan) -> None:
    """Do what a plan says, and give every GPU instance one compute instance that is all of it. Root only.

    May be cut short at any call and done again with a new plan. IN_USE, with nothing changed, while somebody is in what
    should go; RESET_REQUIRED where the driver has noted the mode and takes it with the device's next reset.
    """
    going = {each.id for each in wanted.going}
    for mig in instances_of(uuid):
        if mig.gpu_instance in going and processes(handle_of(mig.uuid)):
            raise NvmlError("IN_USE", "nvmlGpuInstanceDestroy")
    for each in wanted.going:
        _destroy(call(pynvml.nvmlDeviceGetGpuInstanceById, handle_of(uuid), each.id))
    _set_mode(uuid, wanted.mode)
    for profile, start in wanted.coming:
        place = pynvml.c_nvmlGpuInstancePlacement_t(start, profile.size)
        call(pynvml.nvmlDeviceCreateGpuInstanceWithPlacement, handle_of(uuid), profile.id, ctypes.byref(place))
    for each in gpu_instances_of(uuid):
        _make_whole(call(pynvml.nvmlDeviceGetGpuInstanceById, handle_of(uuid), each.id))


def _set_mode(uuid: str, mode: int) -> None:
    current, pending = call(pynvml.nvmlDeviceGetMigMode, handle_of(uuid))
    if current == pending == mode:
        return
    call(pynvml.nvmlDeviceSetMigMode, handle_of(uuid), mode)
    forget_handles()  # the driver may have taken the device away and brought it back
    if call(pynvml.nvmlDeviceGetMigMode, handle_of(uuid))[0] != mode:
        raise NvmlError(RESET_REQUIRED, "nvmlDeviceSetMigMode")


def _destroy(gpu: Any) -> None:
    for _, compute in _compute_instances(gpu):
        call(pynvml.nvmlComputeInstanceDestroy, compute)
    call(pynvml.nvmlGpuInstanceDestroy, gpu)


def _make_whole(gpu: Any) -> None:
    """Exactly one compute instance, the largest. One that is there already stays, with its UUID and its processes."""
    largest = max(_compute_profiles(gpu), key=lambda info: int(info.sliceCount))
    there = list(_compute_instances(gpu))
    if [profile for profile, _ in there] == [int(largest.id)]:
        return
    for _, compute in there:
        call(pynvml.nvmlComputeInstanceDestroy, compute)
    call(pynvml.nvmlGpuInstanceCreateComputeInstance, gpu, int(largest.id))


def _compute_profiles(gpu: Any) -> Iterator[Any]:
    for kind in range(pynvml.NVML_COMPUTE_INSTANCE_PROFILE_COUNT):
        try:
            yield call(pynvml.nvmlGpuInstanceGetComputeInstanceProfileInfo, gpu, kind, 0)
        except NvmlError as error:
            if error.code not in numbers.ABSENT and error.code != "INVALID_ARGUMENT":
                raise


def _compute_instances(gpu: Any) -> Iterator[tuple[int, Any]]:
    for info in _compute_profiles(gpu):
        many, count = (pynvml.c_nvmlComputeInstance_t * MOST_PLACES)(), ctypes.c_uint()
        call(pynvml.nvmlGpuInstanceGetComputeInstances, gpu, int(info.id), many, ctypes.byref(count))
        yield from ((int(info.id), compute) for compute in many[: count.value])
