"""The spool: what waits for the portal, in which order, and what is given up."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent import options
from agent.journal import Journal
from agent.portal_client import PortalClient, PortalError
from agent.sampler import Sampler
from agent.spool import Spool
from tests.simulator.nodes import ROOT

NOBODY = "http://127.0.0.1:9"
DIES = """
import os, signal, sys
from pathlib import Path
from agent.journal import Journal
from agent.spool import Spool
from tests.simulator.nodes import ROOT


class Mortal(Journal):
    def count_up(self, name, by=1):
        os.kill(os.getpid(), signal.SIGKILL)


folder = Path(sys.argv[1])
Spool(folder / "spool", Mortal(folder / "state"), limit=9).put([{"uuid": "GPU-a", "at": 1.0}])
"""


def test_batches_wait_in_order_and_the_oldest_give_way(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    journal = Journal(tmp_path / "state")
    spool = Spool(tmp_path / "spool", journal, limit=3)
    portal = PortalClient(NOBODY, tmp_path / "token")
    assert [spool.put([{"uuid": "GPU-a", "at": 100.0 + turn}]) for turn in range(5)] == [1, 2, 3, 4, 5]
    with pytest.raises(PortalError):
        spool.flush(portal)
    waiting = [json.loads(gzip.decompress(path.read_bytes())) for path in spool.waiting()]
    assert [batch["sequence"] for batch in waiting] == [3, 4, 5]
    assert journal.fact("samples_dropped") == "2"
    assert json.loads(journal.fact("samples_gap") or "") == {"batches": 2, "samples": 2, "from": 100.0, "until": 101.0}


def test_the_sequence_goes_on_after_a_restart(tmp_path: Path) -> None:
    for expected in (1, 2):
        journal = Journal(tmp_path / "state")
        assert Spool(tmp_path / "spool", journal, limit=3).put([]) == expected


def test_a_kill_between_the_batch_and_its_number_loses_neither(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "state")
    assert Spool(tmp_path / "spool", journal, limit=9).put([]) == 1
    died = subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], cwd=ROOT, check=False)
    assert died.returncode == -signal.SIGKILL
    again = Spool(tmp_path / "spool", journal, limit=9)
    assert [path.name[:12] for path in again.waiting()] == ["000000000001", "000000000002"]
    again.waiting()[1].unlink()  # sent: its number must not be given to another
    assert (journal.fact("sample_sequence"), again.put([])) == ("2", 3)


def test_nothing_is_told_before_the_portal_knows_the_node(tmp_path: Path) -> None:
    """Samples of a node that has not said hello are of GPUs that the portal does not know: they wait on the disk."""
    (tmp_path / "token").write_text("secret")
    words = ["--sandbox", str(tmp_path), "--portal", NOBODY, "--token-file", str(tmp_path / "token")]
    given = options.parse(words)
    journal = Journal(given.state)
    sampler = Sampler(given, journal, PortalClient(NOBODY, tmp_path / "token"))
    sampler.spool.put([{"uuid": "GPU-a", "at": 1.0}])
    sampler.send()
    assert len(sampler.spool.waiting()) == 1
    journal.pin("node", "gpu-01")
    with pytest.raises(PortalError):
        sampler.send()
