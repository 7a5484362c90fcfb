"""Signals that arrive inside a wait: none is lost, none makes the process wait for itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.simulator.nodes import ROOT

STORM = """
import signal, time
from {module} import StopSignal
stop = StopSignal()
signal.signal(signal.SIGALRM, stop._note)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
for _ in range(20_000):
    stop.asked = False
    stop.wait(0.00001)
signal.setitimer(signal.ITIMER_REAL, 0)
print(stop.wait(30) or "waited")
"""
# The same storm over threading.Event hangs at once: its handler asks for the lock that its own thread holds.


@pytest.mark.parametrize("module", ["agent.parent", "simulator.stopping"])
def test_a_storm_of_signals_ends_no_wait_for_ever(module: str) -> None:
    command = [sys.executable, "-c", STORM.format(module=module)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
