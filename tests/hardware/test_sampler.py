"""The sampler as it really runs, its spool for a record: what it sends, and what it costs the machine."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.hardware.conftest import Record
from tests.hardware.target import ROOT, Target, wait_until

NOBODY = "http://127.0.0.1:9"
SENT = {"uuid", "at", "utilisation_percent", "sm_active_percent", "tensor_active_percent", "memory_used_mib"} | {
    *("power_watts", "energy_mj", "temperature_c", "process_count", "processes")
}


def _cpu_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _batches(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(gzip.decompress(path.read_bytes())) for path in sorted(folder.glob("*.json.gz"))]


@pytest.mark.parametrize("pace, looks", [(1.0, 12), (0.25, 40)])
def test_the_sampler_records_work_and_costs_little(
    target: Target, uuid: str, record: Record, tmp_path: Path, pace: float, looks: int
) -> None:
    (tmp_path / "token").write_text("nobody asks for it\n")
    words = [sys.executable, "-m", "agent", "--portal", NOBODY, "--token-file", str(tmp_path / "token")]
    words += ["--sandbox", str(tmp_path), "--part", "sampler"]
    paces = {"AGENT_SAMPLE_SECONDS": str(pace), "AGENT_BOOT_ID": "hardware"}
    spool = tmp_path / "state" / "spool"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(words, cwd=ROOT, env={**os.environ, **paces}, stderr=log)
    try:
        wait_until(lambda: len(list(spool.glob("*.gz"))) >= 2, 20)
        with target.work("parked", 60, 4_000) as work:
            wait_until(lambda: _batches(spool)[-1]["samples"][0]["process_count"], 10)
            began, cpu, before = time.monotonic(), _cpu_seconds(process.pid), len(_batches(spool))
            wait_until(lambda: len(list(spool.glob("*.gz"))) >= before + looks, 60)
            spent, seconds = _cpu_seconds(process.pid) - cpu, time.monotonic() - began
        batches = _batches(spool)
    finally:
        process.terminate()
        assert process.wait(20) == 0, (tmp_path / "log").read_text()
    said = batches[-2]["samples"][0]
    record(f"sampler_every_{pace:g}_s", {
        "looks": len(batches) - before, "cpu_percent": round(100 * spent / seconds, 2),
        "cpu_ms_a_look": round(1000 * spent / (len(batches) - before), 2), "last": said,
        "bytes_a_batch": sorted(spool.glob("*.gz"))[-2].stat().st_size, "host": any("host" in each for each in batches),
    })  # fmt: skip
    assert set(said) == SENT and said["uuid"] == uuid
    assert [each["pid"] for each in said["processes"]] == [work.pid] and said["process_count"] == 1
    assert spent / seconds < 0.2 / pace
