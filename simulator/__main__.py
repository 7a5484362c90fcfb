"""`python -m simulator`: reads the command line; the verbs are in simulator.commands."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from simulator import commands, faults, profiles, workloads
from simulator.build import BuildError
from simulator.node import DeviceBusy, OutOfMemory
from simulator.recovery import ResetRefused
from simulator.state import StateError

MENDABLE = (
    StateError, BuildError, OutOfMemory, DeviceBusy, ResetRefused, ValueError, KeyError, ProcessLookupError,
)  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = argparse.ArgumentParser(prog="python -m simulator", description="NVML without a GPU.")
    verbs = top.add_subparsers(dest="verb", required=True)
    serve = verbs.add_parser("serve", help="keep a simulated node alive, one tick a second")
    serve.add_argument("profile", choices=profiles.names())
    serve.add_argument("--node", default="gpu-01", help="the node's name; UUIDs and serials follow from it")
    serve.add_argument("--seed", type=int, default=1)
    serve.add_argument("--count", type=int, help="fewer devices than the profile has")
    serve.add_argument("--with-parent", action="store_true", help="end when the parent process ends")
    verbs.add_parser("env", help="print the variables under which NVML programs see the node")
    run = verbs.add_parser("run", help="run a command as a job on devices")
    run.add_argument("--gpu", required=True, help="device indexes, such as 0 or 0,1")
    run.add_argument("--instance", metavar="GPU:COMPUTE", help="ids of the MIG instance, where the device is cut")
    run.add_argument("--mem", type=int, required=True, metavar="MIB", help="memory on each device")
    run.add_argument("--workload", choices=workloads.WORKLOADS, default="pretrain")
    run.add_argument("--stubborn", action="store_true", help="the command ignores SIGTERM, SIGINT and SIGHUP")
    run.add_argument("command", nargs=argparse.REMAINDER)
    fault = verbs.add_parser("fault", help="put a fault into the node, or clear them")
    fault.add_argument("kind", choices=[*faults.KINDS, "clear"])
    fault.add_argument("which", nargs="?", help="xid: its number; clear: the kind")
    fault.add_argument("--gpu", type=int)
    fault.add_argument("--code", type=int, default=0)
    fault.add_argument("--call", default="")
    fault.add_argument("--seconds", type=float, default=0.0)
    fault.add_argument("--count", type=int, default=-1, help="how many calls fail; all where left out")
    fault.add_argument("--mem", type=int, default=0, metavar="MIB")
    reset = verbs.add_parser("reset", help="reset a device, as nvidia-smi --gpu-reset does")
    reset.add_argument("--gpu", type=int, required=True)
    verbs.add_parser("reboot", help="start the node afresh; its jobs are killed")
    status = verbs.add_parser("status", help="show devices, processes and faults")
    status.add_argument("--json", action="store_true")
    for verb in verbs.choices.values():
        verb.add_argument("--state", type=Path, required=True, metavar="FILE")
    return top


def dispatch(options: argparse.Namespace) -> int:
    """Call the verb; returns the exit status."""
    if options.verb == "serve":
        return commands.serve(
            options.state, options.profile, options.node, options.seed, options.count, options.with_parent
        )
    if options.verb == "env":
        return commands.env(options.state)
    if options.verb == "run":
        command = options.command[1:] if options.command[:1] == ["--"] else options.command
        if not command:
            raise ValueError("name a command after --")
        gpus = [int(word) for word in options.gpu.split(",")]
        mig = _instance(options.instance, gpus) if options.instance else None
        return commands.run(options.state, gpus, options.mem, options.workload, command, options.stubborn, mig)
    if options.verb == "reset":
        return commands.reset(options.state, options.gpu)
    if options.verb == "reboot":
        return commands.reboot(options.state)
    if options.verb == "fault":
        arguments = {name: getattr(options, name) for name in ("gpu", "code", "call", "seconds", "count")}
        return commands.fault(options.state, options.kind, options.which, {**arguments, "memory_mib": options.mem})
    return commands.status(options.state, options.json)


def _instance(text: str, gpus: list[int]) -> tuple[int, int]:
    """7:0 as numbers."""
    gpu, _, compute = text.partition(":")
    if len(gpus) != 1 or not (gpu.isdecimal() and compute.isdecimal()):
        raise ValueError("an instance is named as GPU:COMPUTE, such as 7:0, with one device")
    return int(gpu), int(compute)


def main() -> int:
    """Errors that a user can mend are one line on stderr and status 2."""
    try:
        return dispatch(parser().parse_args())
    except MENDABLE as error:
        print(f"simulator: {error.args[0] if error.args else error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
