"""Damage that a lease left is told once: a device that an operator brings back is not held against it for ever."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.agent.envelopes import body, seal
from tests.agent.test_executor import RUN_ONE, Bench
from tests.simulator.nodes import ROOT, SimulatedNode, start_node


def carry_out(bench: Bench, node: SimulatedNode, verb: str, generation: int) -> dict[str, Any]:
    """Run a command in a process that sees the node's driver; the recorded result."""
    sealed = seal(bench.key, body(verb, generation=generation, device_uuids=node.brain.uuids))
    command = [sys.executable, "-c", RUN_ONE, str(bench.folder), json.dumps(sealed)]
    subprocess.run(command, env=node.env, cwd=ROOT, check=True, capture_output=True)
    record = bench.journal.command(json.loads(sealed["command"])["id"])
    assert record is not None
    return record.result


def failing(result: dict[str, Any]) -> list[str]:
    """The codes of the checks that did not pass."""
    return [check["code"] for report in result["checks"] for check in report["checks"] if not check["passed"]]


def test_damage_that_was_told_does_not_keep_a_mended_device_from_coming_back(tmp_path: Path) -> None:
    node = start_node(tmp_path, count=1)
    try:
        bench = Bench(tmp_path)
        for generation, verb in ((1, "verify"), (2, "grant")):
            carry_out(bench, node, verb, generation)
        node.fault("ecc_dbe", gpu=0)
        carry_out(bench, node, "revoke", 3)
        assert "ecc_dbe_aggregate_unchanged" in failing(carry_out(bench, node, "reclaim", 4))
        node.brain.clear()
        node.brain.reset(0)
        assert failing(carry_out(bench, node, "reclaim", 5)) == ["ecc_dbe_aggregate_unchanged"], "not told yet"
        for record in bench.journal.unreported():
            bench.journal.reported(record.id)
        assert carry_out(bench, node, "reclaim", 6)["clean"] is True
    finally:
        node.stop()
