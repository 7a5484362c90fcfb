"""The end of the demo that the browser has used: its parts are killed, and it comes back with what it held.

The last of these tests by its name: whoever comes after it would find another demo.
"""

import re

import psutil
import pytest

from tests.e2e.conftest import RunningDemo
from tests.portal.running import PATIENCE_SECONDS, run_demo, start_demo, wait_for

pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.timeout(600)]
PREPARING = "tables, the story and its accounts"
GREETING = "Ctrl-C stops everything"


def test_a_whole_demo_survives_a_killed_worker_dies_whole_with_its_runner_and_resumes(demo: RunningDemo) -> None:
    runner, log, folder = demo.process, demo.log, str(demo.folder)
    wait_for(lambda: GREETING in log.read_text(), "no greeting")
    assert demo.url in log.read_text()
    assert PREPARING in log.read_text()
    refused = run_demo("reset", DEMO_DIR=folder)
    assert refused.returncode == 1 and "already running" in refused.stderr
    worker = next(p for p in psutil.Process(runner.pid).children() if "worker" in p.cmdline())
    pool = worker.children(recursive=True)
    worker.kill()
    wait_for(lambda: "worker died (SIGKILL) and is started again" in log.read_text(), "worker not restarted")
    _, alive = psutil.wait_procs(pool, timeout=PATIENCE_SECONDS)
    assert alive == []
    started = psutil.Process(runner.pid).children(recursive=True)
    runner.kill()
    runner.wait()
    _, alive = psutil.wait_procs(started, timeout=PATIENCE_SECONDS)
    assert alive == []
    again = start_demo(log, **demo.variables)
    try:
        wait_for(lambda: again.poll() is not None or GREETING in log.read_text(), "not resumed")
        assert again.poll() is None, log.read_text()
        assert PREPARING not in log.read_text()  # the same code has prepared this database
        started = psutil.Process(again.pid).children(recursive=True)
    finally:
        again.kill()
        again.wait()
        psutil.wait_procs(started, timeout=30)
    # Asked at the end: the sign-ins above have used the codes of their half minutes.
    code = run_demo("otp", "officer@agency.example", DEMO_DIR=folder)
    assert re.match(r"\d{6}  \(for another \d+ s\)", code.stdout), code.stderr
