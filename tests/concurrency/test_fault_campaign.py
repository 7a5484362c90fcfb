"""A small fault campaign: the same programme as the benchmark, two nodes and a handful of leases."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import faults

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ("DATABASE_URL", "REDIS_URL")
KEPT = {
    "overlaps of access": 0,
    "overlaps of promises": 0,
    "past the hard end p99, s": 0.4,
    "batches lost": 0,
    "leases not converged": 0,
    "unsettled": [],
}


@pytest.mark.timeout(480)
def test_leases_come_through_kills_and_faults(tmp_path: Path) -> None:
    given = [
        "--nodes",
        "2",
        "--devices",
        "2",
        "--leases",
        "6",
        "--book-every",
        "2",
        "--strike-every",
        "2",
        "--calm",
        "150",
    ]
    variables = {name: value for name, value in os.environ.items() if name not in SERVERS}
    done = subprocess.run(
        [sys.executable, "-m", "bench.faults", *given, "--results", str(tmp_path)],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    assert len(list(tmp_path.iterdir())) == 1


def test_each_bound_that_is_broken_fails_the_campaign() -> None:
    assert faults.is_kept(KEPT)
    for name in KEPT:
        broken = ["gpu-01/0 cleaning"] if name == "unsettled" else faults.PAST_END_BOUND + 0.1
        assert not faults.is_kept({**KEPT, name: broken}), name
