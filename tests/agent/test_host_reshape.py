"""Taking some devices from a lease that goes on, through the port to a host: one suite over both adapters.

Work is put on a device as each host knows it: on a real node by an open device node, in the sandbox by the driver.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.host.base import HostError, Share
from agent.journal import Journal
from agent.privileged import groups
from agent.privileged.shares import Limits
from tests.agent.envelopes import NODE
from tests.agent.linux_node import NODE_DEVICES, LinuxNode, linux_node
from tests.agent.running import is_alive
from tests.agent.test_host_devices import Site as Base
from tests.agent.test_host_devices import either_host
from tests.simulator.nodes import SimulatedNode, start_node, wait_until

pytestmark = pytest.mark.xdist_group("linux-node")
LEASE = f"L-reshape-{NODE}"
OPEN = "exec 3<{device} && echo up && exec sleep 600"
STUBBORN = "trap '' TERM HUP; " + OPEN


class Site(Base):
    """One lease with both devices."""

    def __init__(self, folder: Path, driver: SimulatedNode, node: LinuxNode | None) -> None:
        super().__init__(folder, driver, node)
        self.login = node.login("reshape") if node else "bg-reshape"
        self.journal.pin("node", NODE)
        self.journal.begin("CMD-1", LEASE, 1, "grant")
        held = {"login": self.login, "device_uuids": self.uuids, "hard_end": time.time() + 600}
        self.journal.change_lease(LEASE, phase="granted", **held)
        if node:
            node.root.ask("open", **node.opening("reshape", minors=(0, 1), lease=LEASE))

    def work_on(self, index: int, script: str = OPEN) -> int:
        """Somebody of the lease's works on a device; the PID."""
        if self.node is None:
            job = self.driver.run(["sleep", "600"], gpus=[index], memory_mib=20_000)
            return self.driver.job_pid(job)
        command = script.format(device=self.node.folder / f"dev/nvidia{index}")
        child = self.node.run("reshape", "bash", "-c", command, stdout=subprocess.PIPE)
        assert child.stdout is not None and child.stdout.readline() == b"up\n"
        return child.pid

    def keep(self, *kept: int, **variables: str) -> dict[str, Any]:
        """Only these devices stay with the lease; what ending the others' work came to."""
        self.journal.change_lease(LEASE, device_uuids=[self.uuids[index] for index in kept])
        leaving = [uuid for index, uuid in enumerate(self.uuids) if index not in kept]
        share = Share(device_minors=kept, node_devices=tuple((minor, numa) for minor, numa in NODE_DEVICES))
        said = self.agent(
            f"""
            import json
            from agent.host.base import Share
            lease = journal.lease({LEASE!r})
            ended = host.reshape_access(lease, tuple({leaving!r}), {share!r})
            print(json.dumps(dict(killed=ended.killed, remaining=ended.remaining)))
            """,
            **variables,
        )
        found: dict[str, Any] = json.loads(said)
        return found


@pytest.fixture(params=["sandbox", "linux"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with either_host(request.param, tmp_path, "h100_sxm_8") as (driver, node):
        yield Site(tmp_path, driver, node)


def test_what_runs_on_a_device_that_leaves_is_ended_and_all_else_goes_on(site: Site) -> None:
    staying, going = site.work_on(0), site.work_on(1)
    assert site.keep(0) == {"killed": 1, "remaining": []}
    wait_until(lambda: not is_alive(going))
    assert is_alive(staying)
    assert site.keep(0) == {"killed": 0, "remaining": []}, "it may be repeated"
    assert is_alive(staying)


def test_a_device_comes_back_to_the_lease(site: Site) -> None:
    site.keep(1)
    assert site.keep(0, 1) == {"killed": 0, "remaining": []}
    assert is_alive(site.work_on(0))


def test_a_device_that_was_given_up_is_free_for_the_next_lease(site: Site) -> None:
    """Before it is given up, nobody changes a setting of it; afterwards its next tenant can have it."""
    change = 'refused(host.set_device, uuids[1], "power_limit", 450)'
    assert site.agent(f"print({change})") == "device_of_a_login"
    site.keep(0)
    assert site.agent(f"print({change})") == "done"
    assert site.agent('print(refused(host.set_device, uuids[0], "power_limit", 450))') == "device_of_a_login"


@pytest.fixture
def linux(tmp_path: Path) -> Iterator[Site]:
    driver = start_node(tmp_path, "h100_sxm_8", count=2)
    try:
        with linux_node(driver.env) as node:
            yield Site(tmp_path, driver, node)
    finally:
        driver.stop()


def look(site: Site, index: int) -> int:
    """How the opening of a device ends for the lease's user: 0 or not."""
    assert site.node is not None
    return site.node.run("reshape", "bash", "-c", f"exec 3<{site.node.folder}/dev/nvidia{index}").wait(20)


def test_root_denies_what_left_and_never_what_stays(linux: Site) -> None:
    stubborn = linux.work_on(1, STUBBORN)
    assert (look(linux, 0), look(linux, 1)) == (0, 0)
    assert linux.keep(0) == {"killed": 1, "remaining": []}
    assert not is_alive(stubborn), "whoever ignores SIGTERM is killed after the grace"
    assert look(linux, 0) == 0 and look(linux, 1) != 0
    linux.keep(0, 1)
    assert look(linux, 1) == 0


def test_an_open_device_counts_however_it_was_come_by(linux: Site) -> None:
    node = linux.node
    assert node is not None
    handed = (node.folder / "dev/nvidia1").open("rb")
    try:
        stranger = node.run("reshape", "bash", "-c", "echo up; exec sleep 600", stdin=handed, stdout=subprocess.PIPE)
        assert stranger.stdout is not None and stranger.stdout.readline() == b"up\n"
        assert linux.keep(0)["killed"] == 1 and not is_alive(stranger.pid)
    finally:
        handed.close()


def test_root_refuses_what_is_not_the_logins_to_have(linux: Site) -> None:
    node = linux.node
    assert node is not None
    linux.keep(0)
    node.root.ask("open", **node.opening("other", minors=(1,), lease="L-other"))
    asked: dict[str, Any] = {"lease": LEASE, "login": linux.login, "node_devices": NODE_DEVICES, "parts": []}

    def refused(**changes: Any) -> str:
        with pytest.raises(HostError) as caught:
            node.root.ask("reshape", **{**asked, "minors": [0], **changes})
        return caught.value.code

    assert refused(minors=[0, 1]) == "device_of_another_login"
    assert refused(minors=[]) == refused(minors=[7]) == "bad_request"
    assert refused(lease="L-other") == "not_open"
    assert refused(login=node.login("nobody")) == "unknown_login"
    node.root.ask("close", login=linux.login)
    assert refused() == "not_open", "a login that is closed gets nothing back"


def test_memory_in_use_is_never_taken_from_under_those_who_stay() -> None:
    with linux_node() as node:
        entry = node.open("heavy", minors=(0, 1))
        child = node.run(
            "heavy",
            *("python3", "-c", "import time; held = bytearray(200_000_000); print('up', flush=True); time.sleep(600)"),
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None and child.stdout.readline() == b"up\n"
        folders = node.groups.folders(entry.pw_uid)
        used = groups.memory_in_use(folders)
        if not used:
            pytest.skip("no memory controller here")
        assert used >= 200_000_000
        small = Limits((), (), 50_000_000, 100)
        node.groups.refit(entry.pw_uid, small, (node.folder / "dev/nvidia0",), (node.folder / "dev/nvidia1",))
        assert is_alive(child.pid)


def test_the_journal_of_a_lease_keeps_what_it_has_not_quite_given_up(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.begin("CMD-1", "L-1", 1, "grant")
    journal.change_lease("L-1", phase="granted", device_uuids=["GPU-a"], leaving={"GPU-b": None, "GPU-c": 1.5})
    (lease,) = journal.open_leases()
    assert lease.held == ("GPU-a", "GPU-b") and lease.leaving == {"GPU-b": None, "GPU-c": 1.5}
