"""The verbs of `python -m simulator`: serve, env, run, fault, reset, reboot, status."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import shlex
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from simulator import build, faults, kernel_log
from simulator.node import MIB, SimNode
from simulator.state import StateError
from simulator.stopping import StopSignal

PR_SET_PDEATHSIG = 1  # prctl(2)
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def die_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent goes; ends at once where it has gone already."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)


def open_or_create(path: Path, profile: str, name: str, seed: int, count: int | None) -> SimNode:
    """Reopen a node that is the one asked for, or make it. StateError where the file holds another node."""
    if not path.exists():
        return SimNode.create(path, profile, name=name, seed=seed, count=count)
    try:
        node = SimNode.open(path)
    except StateError:  # written by another version of the layout: nothing in it can be kept
        return SimNode.create(path, profile, name=name, seed=seed, count=count)
    header = node.state.view.header
    have = (header.profile.decode(), header.node_name.decode(), header.device_count)
    want = (profile, name, count or node.profile.devices)
    if have != want:
        node.close()
        raise StateError(f"{path} holds node {have[1]} ({have[2]} x {have[0]}); delete it to make another")
    return node


def serve(path: Path, profile: str, name: str, seed: int, count: int | None, with_parent: bool) -> int:
    """Keep a node alive: one tick a second until SIGTERM. Registered live processes survive a restart."""
    if with_parent:
        die_with_parent()
    stop = StopSignal()
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(f"{path}.serve", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StateError(f"another process serves {path} already") from None
    node = open_or_create(path, profile, name, seed, count)
    build.library()
    node.state.view.header.serve_pid = os.getpid()
    # The kernel's records count from the machine's own start: a reader turns them back into moments by that clock.
    node.state.view.header.boot_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    node.resume()
    kernel_log.path_of(path).touch()  # a log is there from boot, before anything is written to it
    print(f"simulator: serving {node.device_count} x {node.profile.name} as {name}, state {path}", flush=True)
    while not stop.wait(1.0 - time.time() % 1.0):
        node.tick()
    node.state.view.header.serve_pid = 0
    node.close()
    return 0


def environment(path: Path) -> dict[str, str]:
    """The variables under which any NVML program sees the node of a state file."""
    library = build.library()
    others = [part for part in os.environ.get("LD_LIBRARY_PATH", "").split(":") if part and part != str(library.parent)]
    return {
        "NVML_LIBRARY": str(library),
        "NVML_SIM_STATE": str(path.resolve()),
        "AGENT_KERNEL_LOG": str(kernel_log.path_of(path.resolve())),
        "LD_LIBRARY_PATH": ":".join([str(library.parent), *others]),
    }


def env(path: Path) -> int:
    """Print the environment as shell text."""
    for name, value in environment(path).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def run(
    path: Path,
    gpus: list[int],
    memory_mib: int,
    workload: str,
    command: list[str],
    stubborn: bool = False,
    mig: tuple[int, int] | None = None,
) -> int:
    """Run a command as a job on devices; returns its exit status, 128 + the signal where one ended it.

    mig: ids of the GPU and the compute instance, where the one device is cut.
    stubborn: the command begins deaf to SIGTERM, SIGINT and SIGHUP, and most programs leave that so.
    The child waits on a pipe until it is registered, so that it is on its devices from its first instruction on.
    """
    node = SimNode.open(path)
    variables = {**os.environ, **environment(path), "CUDA_VISIBLE_DEVICES": _visible(node, gpus, mig)}
    reader, writer = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) if stubborn else ():
        signal.signal(number, signal.SIG_IGN)  # survives fork and exec
    child = os.fork()
    if child == 0:
        _become(command, variables, reader, writer)
    os.close(reader)
    try:
        node.bind(child, gpus, memory_mib, workload, mig)
    except BaseException:
        os.close(writer)  # nothing was written: the child leaves without running anything
        os.waitpid(child, 0)
        raise

    def forward(number: int, _: FrameType | None) -> None:
        try:
            os.kill(child, number)
        except ProcessLookupError:
            pass

    for number in FORWARDED:
        signal.signal(number, forward)
    with contextlib.suppress(BrokenPipeError):  # killed already, before its first instruction
        os.write(writer, b"!")
    os.close(writer)
    _, status = os.waitpid(child, 0)
    node.unbind(child)
    node.close()
    return os.waitstatus_to_exitcode(status) if not os.WIFSIGNALED(status) else 128 + os.WTERMSIG(status)


def _visible(node: SimNode, gpus: list[int], mig: tuple[int, int] | None) -> str:
    """CUDA_VISIBLE_DEVICES; an instance in the form that names its place, MIG-<UUID of the GPU>/<GPU>/<compute>."""
    if mig is None or not 0 <= gpus[0] < node.device_count:  # a device that is not there is refused in `bind`
        return ",".join(map(str, gpus))
    return f"MIG-{node.state.view.devices[gpus[0]].uuid.decode()}/{mig[0]}/{mig[1]}"


def _become(command: list[str], variables: dict[str, str], reader: int, writer: int) -> None:
    """The child's side of `run`: never returns."""
    try:
        os.close(writer)
        if not os.read(reader, 1):
            os._exit(125)
        os.close(reader)
        os.execvpe(command[0], command, variables)
    except OSError as error:
        os.write(2, f"simulator: cannot run {command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def fault(path: Path, kind: str, which: str | None, arguments: dict[str, Any]) -> int:
    """Put a fault into a node, or with the kind `clear` take some or all out."""
    node = SimNode.open(path)
    if kind == "clear":
        if which is not None and which not in faults.KINDS:
            raise ValueError(f"no fault {which!r}; there are: {', '.join(faults.KINDS)}")
        print(f"{node.clear(which, arguments['gpu'])} cleared")
        return 0
    if kind == "xid" and which is not None:
        if not which.isdecimal():
            raise ValueError("an xid fault needs its number")
        arguments["action"], arguments["code"] = arguments["code"], int(which)
    node.inject(kind, **arguments)
    return 0


def reset(path: Path, gpu: int) -> int:
    """Reset a device as `nvidia-smi --gpu-reset` does."""
    SimNode.open(path).reset(gpu)
    print(f"device {gpu} was reset")
    return 0


def reboot(path: Path) -> int:
    """Start the node afresh: the jobs on its devices are killed, as by a machine that goes down."""
    pids = SimNode.open(path).reboot()
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    print(f"rebooted; {len(pids)} processes ended")
    return 0


def status_of(path: Path) -> dict[str, Any]:
    """A node as plain data: its devices, processes and faults."""
    node = SimNode.open(path)
    view = node.state.view
    processes = node.processes()
    devices = []
    for index in range(node.device_count):
        device = view.devices[index]
        mine = [process for process in processes if process.gpu == index]
        used = sum(process.memory_mib for process in mine) + device.zombie_bytes // MIB
        devices.append(
            {
                "gpu": index,
                "uuid": device.uuid.decode(),
                "name": device.name.decode(),
                "lost": bool(device.lost),
                "utilisation_percent": device.util_gpu,
                "memory_used_mib": used,
                "memory_total_mib": device.memory_total // MIB,
                "power_watts": round(device.power_mw / 1000, 1),
                "mig": bool(device.mig_mode),
                "instances": _instances(view, index) if device.mig_mode else [],
                "recovery_action": device.recovery_action,
                "temperature_c": device.temperature_c,
                "processes": [{"pid": p.pid, "memory_mib": p.memory_mib, "workload": p.workload} for p in mine],
            }
        )
    return {
        "node": view.header.node_name.decode(),
        "profile": view.header.profile.decode(),
        "serve_pid": view.header.serve_pid or None,
        "clock": view.header.clock_ns / 1e9,
        "devices": devices,
        "faults": faults.listing(view),
    }


def _instances(view: Any, index: int) -> list[dict[str, Any]]:
    """The GPU instances of a device with the ids of their compute instances."""
    return [
        {
            "id": each.id,
            "profile": view.mig_profiles[each.profile].name.decode(),
            "start": each.start,
            "compute": [number for number, one in enumerate(each.compute) if one.in_use],
        }
        for each in view.partitions[index].instances
        if each.in_use
    ]


def status(path: Path, as_json: bool) -> int:
    """Print the node's state, for people or as JSON."""
    said = status_of(path)
    if as_json:
        print(json.dumps(said, indent=2))
        return 0
    print(f"{said['node']}  {said['profile']}  served by {said['serve_pid'] or 'nobody'}")
    for device in said["devices"]:
        jobs = ", ".join(f"{job['pid']} {job['workload']} {job['memory_mib']} MiB" for job in device["processes"])
        print(
            f"  {device['gpu']}  {device['uuid']}  {'LOST' if device['lost'] else ''}"
            f"{device['utilisation_percent']:>3} %  {device['memory_used_mib']:>6} MiB  "
            f"{device['power_watts']:>6} W  {device['temperature_c']:>3} C  {jobs}"
        )
        for cut in device["instances"]:
            print(f"       MIG {cut['profile']}  id {cut['id']}  at {cut['start']}  compute {cut['compute']}")
    for each in said["faults"]:
        print(f"  fault {each['kind']}  gpu {'all' if each['gpu'] is None else each['gpu']}  {each['call']}")
    return 0
