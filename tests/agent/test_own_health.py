"""What the agent says of itself: only its own processes count, and what it has cost since the last look."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from agent.journal import Journal
from agent.own_health import OwnHealth
from tests.simulator.nodes import wait_until

PARENT = """
import subprocess, sys
part = [sys.executable, "-c", "import time\\nx = bytearray(60_000_000)\\nprint('up', flush=True)\\n"
        "while True: pass", "--part", "sampler"]
tenant = [sys.executable, "-c", "import time; x = bytearray(300_000_000); time.sleep(600)"]
children = [subprocess.Popen(part), subprocess.Popen(tenant)]
sys.stdin.read()
for child in children: child.kill()
"""


def test_the_agents_own_processes_count_and_tenants_do_not(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.remember("sampler_health", json.dumps({"calls_per_sample": 14.0}))
    (tmp_path / "parts.json").write_text('{"worker": {"restarts": 2, "why": "ended with -9"}}')
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None and parent.stdout.readline() == b"up\n"
        own = OwnHealth(journal, parent.pid)
        first = own.look()
        assert first["cpu_percent"] is None and 60 < first["memory_mib"] < 250
        wait_until(lambda: (own.look()["cpu_percent"] or 0) > 5)
        said = own.look()
        assert said["parts"]["worker"]["restarts"] == 2 and said["sampler"] == {"calls_per_sample": 14.0}
        assert said["clock_skew_seconds"] is None and said["samples_dropped"] == 0
    finally:
        parent.communicate(b"")


def test_a_process_that_has_gone_costs_nothing(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert OwnHealth(Journal(tmp_path), gone.pid).look()["memory_mib"] == 0
