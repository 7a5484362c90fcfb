"""kill -9 before each step of each verb: what stands on disk is watched, and the command is made good later.

A step is an access to the journal: everything that a verb decides goes through it. The killed process is a real one.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agent.journal import LocalLease
from tests.agent.envelopes import body, seal
from tests.agent.running import is_alive
from tests.agent.test_executor import Bench
from tests.simulator.nodes import ROOT, start_node, wait_until

LATER = 7200.0
STORY: tuple[tuple[str, int], ...] = (("verify", 1), ("grant", 1), ("extend", 2), ("revoke", 3), ("reclaim", 3))
MORTALS = """
import json, os, signal, sys, traceback
from pathlib import Path
from agent.executor import Executor
from agent.host.sandbox import SandboxHost
from agent.journal import Journal
from agent.portal_client import PortalClient


class Mortal(Journal):
    left = 0

    def connect(self):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().connect()


def live(folder, envelope, step):
    journal = Mortal(folder / "state")
    journal.left = step
    executor = Executor(journal, SandboxHost(folder, journal), PortalClient("http://127.0.0.1:9", folder / "token"))
    assert executor.run(envelope).outcome == "done"


for line in sys.stdin:
    folder, envelope, step = json.loads(line)
    child = os.fork()
    if child == 0:
        try:
            live(Path(folder), envelope, step)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Reads [folder, envelope, step] lines; each is run by a process of its own that dies before its step-th access."""


def envelope(bench: Bench, verb: str, generation: int, end: float) -> dict[str, str]:
    """One command of the story; the extension moves the end."""
    hard_end = end + (LATER if generation > 1 else 0)
    return seal(bench.key, body(verb, generation=generation, hard_end=hard_end))


def told(folder: Path, upto: int, end: float) -> Bench:
    """A node on which the story has come this far."""
    folder.mkdir()
    bench = Bench(folder)
    for verb, generation in STORY[:upto]:
        assert bench.executor.run(envelope(bench, verb, generation, end)).outcome == "done", verb
    return bench


def facts(lease: LocalLease | None) -> tuple[Any, ...]:
    """What must come out the same, killed or not."""
    assert lease is not None
    return lease.phase, lease.generation, lease.login, lease.hard_end, lease.granted_at is None, lease.ended_at is None


@pytest.mark.parametrize("place", range(len(STORY)), ids=[verb for verb, _generation in STORY])
def test_a_verb_that_was_killed_before_any_of_its_steps_is_made_good(tmp_path: Path, place: int) -> None:
    end = time.time() + 3600
    verb, generation = STORY[place]
    wanted = facts(told(tmp_path / "whole", place + 1, end).journal.lease("L-1"))
    mortals = subprocess.Popen(
        [sys.executable, "-c", MORTALS], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert mortals.stdin is not None and mortals.stdout is not None
    killed, status = 0, -signal.SIGKILL
    for step in range(1, 60):
        bench = told(tmp_path / f"{verb}-{step}", place, end)
        sealed = envelope(bench, verb, generation, end)
        print(json.dumps([str(bench.folder), sealed, step]), file=mortals.stdin, flush=True)
        status = int(mortals.stdout.readline())
        lease = bench.journal.lease("L-1")
        if lease is not None and lease.phase in ("opening", "granted", "closing"):
            assert lease.hard_end is not None, "whoever might be in has an end that the dead-man timer watches"
        if status == 0:
            break
        assert status == -signal.SIGKILL
        killed += 1
        assert bench.executor.run(sealed).outcome == "done", step
        assert facts(bench.journal.lease("L-1")) == wanted, step
    mortals.communicate()
    assert status == 0 and killed >= 4, f"{verb} ran through after {killed} deaths"


def test_a_change_of_devices_that_was_killed_before_any_of_its_steps_is_made_good(tmp_path: Path) -> None:
    """One device stays with its work, one leaves, one comes. Everything is run by processes that know the driver."""
    sim = start_node(tmp_path, count=3)
    mortals = subprocess.Popen(
        [sys.executable, "-c", MORTALS], cwd=ROOT, env=sim.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert mortals.stdin is not None and mortals.stdout is not None
    stays, leaves, comes = sim.brain.uuids
    kept = sim.job_pid(sim.run(["sleep", "600"], gpus=[0], memory_mib=20_000))

    def run(bench: Bench, step: int, verb: str, generation: int, **changes: Any) -> int:
        sealed = seal(bench.key, body(verb, generation=generation, **changes))
        assert mortals.stdin is not None and mortals.stdout is not None
        print(json.dumps([str(bench.folder), sealed, step]), file=mortals.stdin, flush=True)
        return int(mortals.stdout.readline())

    try:
        killed, status = 0, -signal.SIGKILL
        for step in range(1, 60):
            (tmp_path / str(step)).mkdir()
            bench = Bench(tmp_path / str(step))
            bench.journal.begin("CMD-0", "L-1", 1, "verify")
            bench.journal.change_lease("L-1", baseline=json.dumps({}))
            assert run(bench, 0, "grant", 1, device_uuids=[stays, leaves]) == 0
            assert run(bench, 0, "verify", 2, device_uuids=[comes]) == 0
            going = sim.job_pid(sim.run(["sleep", "600"], gpus=[1], memory_mib=20_000))
            change: dict[str, Any] = {"device_uuids": [stays, comes], "leaving": [leaves]}
            status = run(bench, step, "reshape", 3, **change)
            lease = bench.journal.lease("L-1")
            assert lease is not None and lease.phase == "granted" and lease.hard_end is not None
            if status != 0:
                assert status == -signal.SIGKILL
                assert leaves in lease.held or not is_alive(going), "nobody else gets it before its work is ended"
                killed += 1
                assert run(bench, 0, "reshape", 3, **change) == 0, step
                lease = bench.journal.lease("L-1")
            assert lease is not None and lease.device_uuids == (stays, comes) and lease.held == (stays, comes)
            record = bench.journal.command("CMD-reshape-3")
            assert record is not None and record.result["left"] == lease.leaving and set(lease.leaving) == {leaves}
            (check,) = record.result["checks"]
            assert check["uuid"] == leaves and check["passed"], check
            wait_until(lambda pid=going: not is_alive(pid))
            assert is_alive(kept)
            if status == 0:
                break
        assert status == 0 and killed >= 6, f"ran through after {killed} deaths"
    finally:
        mortals.communicate()
        sim.stop()
