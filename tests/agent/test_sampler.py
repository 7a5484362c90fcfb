"""The spool: what waits for the portal, in which order, and what is given up."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
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


@contextmanager
def moody_portal(moods: list[int]) -> Iterator[tuple[str, list[int]]]:
    """A portal that answers with these statuses in turn, 0 by hanging up; its address, and the sequences it took."""
    taken: list[int] = []

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(gzip.decompress(self.rfile.read(int(self.headers["Content-Length"]))))
            status = moods.pop(0)
            if status == 0:
                return
            if status == 202:
                taken.append(body["sequence"])
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_said: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Door) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", taken
        server.shutdown()
        thread.join()


def test_a_refused_batch_is_sent_again_in_its_order_unless_it_was_refused_for_good(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    journal = Journal(tmp_path / "state")
    spool = Spool(tmp_path / "spool", journal, limit=9)
    for turn in range(3):
        spool.put([{"uuid": "GPU-a", "at": 100.0 + turn}])
    passing = [500, 502, 503, 429, 401, 0]
    with moody_portal([*passing, 202, *passing, 400, 202]) as (address, taken):
        portal = PortalClient(address, tmp_path / "token")
        for _refusal in range(2 * len(passing)):
            with pytest.raises(PortalError):
                spool.flush(portal)
        spool.flush(portal)
        portal.close()
    assert taken == [1, 3] and not spool.waiting()
    assert (journal.fact("samples_dropped"), len(journal.events(9))) == ("1", 1)


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
