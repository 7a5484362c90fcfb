"""The agent's keeper on real users, with no portal and no broker: ends and extensions reach sshd and root."""

from __future__ import annotations

import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import options
from agent.journal import Journal
from tests.agent.envelopes import NODE
from tests.agent.linux_node import LinuxNode, linux_node
from tests.agent.running import is_alive
from tests.simulator.nodes import ROOT, wait_until

pytestmark = pytest.mark.xdist_group("linux-node")
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def node() -> Iterator[LinuxNode]:
    with linux_node() as made:
        yield made


class Keeper:
    """`python -m agent --part keeper` over a node, with one granted lease in its journal."""

    def __init__(self, node: LinuxNode, folder: Path) -> None:
        self.node, self.folder = node, folder
        (folder / "token").write_text("secret\n")
        self.journal = Journal(folder / "state")
        self.journal.pin("node", NODE)
        self.process: subprocess.Popen[bytes] | None = None

    def grant(self, word: str, seconds: float) -> pwd.struct_passwd:
        """A login that is open, in the journal and with root."""
        user = self.node.open(word, seconds=seconds)
        self.journal.begin("CMD-1", f"L-{word}", 1, "grant")
        self.journal.change_lease(
            f"L-{word}", phase="granted", login=user.pw_name, hard_end=time.time() + seconds, granted_at=time.time()
        )
        return user

    def start(self) -> None:
        """Start it, as the supervisor does."""
        words = ["--portal", NOBODY, "--token-file", str(self.folder / "token"), "--state", str(self.folder)]
        words += ["--root-socket", str(self.node.folder / "run/root.sock"), "--ssh-address", "127.0.0.1:2222"]
        given = options.parse(words)
        self.process = subprocess.Popen([sys.executable, "-m", "agent", *given.arguments("keeper")], cwd=ROOT)

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(20)


@pytest.fixture
def keeper(node: LinuxNode, tmp_path: Path) -> Iterator[Keeper]:
    made = Keeper(node, tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


def test_a_hard_end_closes_the_login_by_the_nodes_own_clock(node: LinuxNode, keeper: Keeper) -> None:
    user = keeper.grant("ends", seconds=4)
    child = node.run("ends", "sleep", "600")
    keeper.start()
    assert child.wait(60) == -signal.SIGTERM
    wait_until(lambda: not keeper.journal.open_leases())
    assert not (node.folder / "ssh/principals" / user.pw_name).exists()
    assert [lease.killed for lease in keeper.journal.ended_leases(since=None)] == [1]


def test_an_extension_reaches_sshd_and_a_stopping_agent_ends_nobody(node: LinuxNode, keeper: Keeper) -> None:
    user = keeper.grant("works", seconds=600)
    principals = node.folder / "ssh/principals" / user.pw_name
    before = principals.read_text()
    child = node.run("works", "sleep", "600")
    keeper.start()
    keeper.journal.change_lease("L-works", hard_end=time.time() + 7200)
    wait_until(lambda: principals.read_text() != before, 60)
    assert keeper.stop() == 0
    assert is_alive(child.pid) and principals.exists()


def test_the_options_of_a_part_are_those_of_the_agent(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    words = ["--portal", NOBODY, "--token-file", str(tmp_path / "token"), "--ssh-address", "gpu-01.example.org:2222"]
    for where in (["--sandbox", str(tmp_path)], ["--state", str(tmp_path)], []):
        given = options.parse([*words, *where])
        again = options.parse(given.arguments("worker"))
        assert given.state == again.state and again.part == "worker"
        assert (given.sandbox is None) == (where[:1] != ["--sandbox"])
        assert given.sandbox is not None or again.ssh_address == "gpu-01.example.org:2222"
    assert options.parse(words).state == Path("/var/lib/bitgoeul/state")
    with pytest.raises(SystemExit):
        options.parse([*words, "--sandbox", str(tmp_path), "--state", str(tmp_path)])
