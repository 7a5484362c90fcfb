"""The end of a lease on a real node: logins first, then everything that runs, and what stays is named."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.host.base import HostError
from agent.privileged.ending import everybody
from tests.agent.linux_node import LinuxNode, linux_node
from tests.agent.running import is_alive, wait_until_gone
from tests.simulator.nodes import ROOT, wait_until

pytestmark = pytest.mark.xdist_group("linux-node")
STUBBORN = "trap '' TERM HUP; while :; do sleep 600; done"


@pytest.fixture
def node() -> Iterator[LinuxNode]:
    with linux_node() as made:
        yield made


def of_user(uid: int) -> set[int]:
    """PIDs of a uid."""
    return {process.pid for process in everybody() if uid in process.uids}


def test_everything_of_the_login_ends_and_nothing_else(node: LinuxNode) -> None:
    user, other = node.open("ends", minors=(0,)), node.open("stays", minors=(1,))
    meek = node.run("ends", "sleep", "600")
    node.run("ends", "bash", "-c", f'(env -i setsid bash -c "{STUBBORN}" &) ; kill -STOP $$; sleep 600')
    neighbour, ours = node.run("stays", "sleep", "600"), subprocess.Popen(["sleep", "600"])
    wait_until(lambda: len(of_user(user.pw_uid)) >= 4)
    pids = of_user(user.pw_uid)
    done = node.root.ask("close", login=user.pw_name)
    assert done["remaining"] == [] and done["killed"] >= 4
    assert meek.wait(10) == -signal.SIGTERM, "asked before it was killed"
    for pid in pids:
        wait_until_gone(pid)
    assert not (node.folder / "ssh/principals" / user.pw_name).exists()
    assert (node.folder / "ssh/principals" / other.pw_name).exists()
    assert neighbour.poll() is None and ours.poll() is None
    ours.kill()
    ours.wait()
    assert node.root.ask("close", login=user.pw_name) == {"killed": 0, "remaining": []}
    node.root.ask("clean", login=user.pw_name)


def test_who_left_the_group_is_found_by_the_number(node: LinuxNode) -> None:
    user = node.open("moved")
    child = node.run("moved", "bash", "-c", STUBBORN)
    for folder in node.groups.folders(user.pw_uid):
        (folder.parent.parent / "cgroup.procs").write_text(str(child.pid))
    assert node.root.ask("close", login=user.pw_name)["remaining"] == []
    assert child.wait(10) == -signal.SIGKILL


def test_a_bomb_of_forks_ends(node: LinuxNode) -> None:
    user = node.open("bomb")
    for pids in node.groups.folders(user.pw_uid):
        if (pids / "pids.max").exists():
            (pids / "pids.max").write_text("60")
    if not any((folder / "pids.max").exists() for folder in node.groups.folders(user.pw_uid)):
        pytest.skip("no pids controller that could keep the bomb small on this machine")
    node.run("bomb", "perl", "-e", '$SIG{TERM} = "IGNORE"; fork while 1')
    wait_until(lambda: len(of_user(user.pw_uid)) >= 50)
    assert node.root.ask("close", login=user.pw_name)["remaining"] == []
    wait_until(lambda: not of_user(user.pw_uid))


def test_who_stops_everybody_holds_nothing_up(node: LinuxNode) -> None:
    user = node.open("stops")
    stopper = node.run(
        "stops",
        "perl",
        "-e",
        '$SIG{TERM} = "IGNORE"; print "up\n"; close STDOUT; kill "STOP", -1 while 1',
        stdout=subprocess.PIPE,
    )
    assert stopper.stdout is not None and stopper.stdout.readline() == b"up\n"
    assert node.root.ask("close", login=user.pw_name)["remaining"] == []
    assert stopper.wait(10) == -signal.SIGKILL


def test_a_device_handed_to_a_neighbour_is_named_and_not_given_on(node: LinuxNode) -> None:
    user, neighbour = node.open("gives", minors=(0,)), node.open("takes", minors=(1,))
    device = os.open(node.folder / "dev/nvidia0", os.O_RDONLY)
    taker = node.run("takes", "sleep", "600", pass_fds=(device,))
    os.close(device)
    done = node.root.ask("close", login=user.pw_name)
    assert done["remaining"] == [taker.pid], "not killed, and not said to be gone"
    assert is_alive(taker.pid)
    with pytest.raises(HostError, match="processes_remain"):
        node.root.ask("clean", login=user.pw_name)
    with pytest.raises(HostError, match="device_of_another_login"):
        node.root.ask("open", **node.opening("next", minors=(0,)))
    node.root.ask("close", login=neighbour.pw_name)
    assert node.root.ask("close", login=user.pw_name)["remaining"] == []
    node.open("next", minors=(0,))


def test_root_ends_what_is_overdue_with_no_agent(node: LinuxNode) -> None:
    late, early = node.open("late", minors=(0,)), node.open("early", minors=(1,))
    child = node.run("late", "sleep", "600")
    ledger = node.folder / "state/ledger.json"
    said = ledger.read_text()
    entry = said[said.index(late.pw_name) : said.index(early.pw_name)]
    start = entry.index('"hard_end": ') + len('"hard_end": ')
    number = entry[start : entry.index(",", start)]
    ledger.write_text(said.replace(number, str(time.time() - 31), 1))
    subprocess.run(node.words("--overdue"), cwd=ROOT, check=True)
    assert child.wait(10) == -signal.SIGTERM
    assert [path.name for path in (node.folder / "ssh/principals").iterdir()] == [early.pw_name]
    assert '"by": "timer"' in (node.folder / "log/root.jsonl").read_text()


def test_a_lease_ends_also_where_nothing_can_be_written(node: LinuxNode) -> None:
    user = node.open("full")
    child = node.run("full", "bash", "-c", STUBBORN)
    drafts = (node.folder / "state/.ledger.json.new", node.folder / "log/root.jsonl")
    drafts[1].unlink()
    for path in drafts:
        path.mkdir()
    with pytest.raises(HostError, match="root_part_failed"):
        node.root.ask("close", login=user.pw_name)
    assert child.wait(10) == -signal.SIGKILL
    assert not (node.folder / "ssh/principals" / user.pw_name).exists()
    for path in drafts:
        path.rmdir()
    assert node.root.ask("close", login=user.pw_name)["remaining"] == []
    node.root.ask("clean", login=user.pw_name)


def test_a_kill_in_the_middle_is_made_good(node: LinuxNode) -> None:
    user = node.open("middle")
    child = node.run("middle", "bash", "-c", STUBBORN)
    request = f'{{"verb": "close", "arguments": {{"login": "{user.pw_name}"}}}}\n'.encode()
    here, there = socket.socketpair()
    first = subprocess.Popen(node.words(), cwd=ROOT, stdin=there)
    here.sendall(request)
    wait_until(lambda: not (node.folder / "ssh/principals" / user.pw_name).exists())
    first.kill()
    first.wait()
    assert is_alive(child.pid)
    subprocess.run(node.words("--overdue"), cwd=ROOT, check=True)
    assert child.wait(10) == -signal.SIGKILL
    assert not Path(f"/proc/{child.pid}").exists()
