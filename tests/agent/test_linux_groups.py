"""What a lease may use, for real where the machine allows it: its own devices, its part of cores and memory."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.host.base import HostError
from agent.privileged.groups import CONTROL, drop_in, kill, members
from agent.privileged.places import Refused
from agent.privileged.shares import Limits, cpu_list, limits
from tests.agent.linux_node import LinuxNode, linux_node
from tests.agent.running import wait_until_gone
from tests.simulator.nodes import wait_until

pytestmark = pytest.mark.xdist_group("linux-node")
GIB = 2**30


@pytest.fixture(scope="module")
def node() -> Iterator[LinuxNode]:
    with linux_node() as made:
        yield made


def test_a_lease_opens_its_own_device_and_no_other(node: LinuxNode) -> None:
    node.open("first", minors=(0,))
    node.open("second", minors=(1,))
    for word, mine, other in (("first", 0, 1), ("second", 1, 0)):
        asking = f"exec 3<{node.folder}/dev/nvidia{{}}"
        assert node.run(word, "bash", "-c", asking.format(mine)).wait() == 0
        refused = node.run(word, "bash", "-c", asking.format(other), stderr=subprocess.PIPE)
        assert b"Operation not permitted" in refused.communicate()[1], "0666 on the node: only the group denies it"
        plain = "echo x >/dev/null && head -c1 /dev/urandom /dev/zero >/dev/null"
        assert node.run(word, "bash", "-c", plain).wait() == 0
    for word in ("first", "second"):
        node.root.ask("close", login=node.login(word))
        node.root.ask("clean", login=node.login(word))
    assert not list(CONTROL.glob(f"*/{node.name}/[0-9]*"))


def test_a_device_is_not_given_to_two_logins(node: LinuxNode) -> None:
    node.open("first", minors=(0,))
    with pytest.raises(HostError, match="device_of_another_login"):
        node.root.ask("open", **node.opening("second", minors=(0, 1)))
    with pytest.raises(HostError, match="no_device"):
        node.root.ask("open", **node.opening("second", minors=(7,), node_devices=[[7, -1]]))
    with pytest.raises(HostError, match="bad_request"):
        node.root.ask("open", **node.opening("second", minors=(1,), node_devices=[[0, -1]]))
    node.root.ask("close", login=node.login("first"))
    node.open("second", minors=(0, 1))
    node.root.ask("close", login=node.login("second"))


def test_half_of_the_devices_is_half_of_the_machine(node: LinuxNode) -> None:
    user = node.open("half", minors=(1,))
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    read = {
        name: (CONTROL / name.replace("/", f"/{node.name}/{user.pw_uid}/", 1)).read_text().strip()
        for name in ("memory/memory.limit_in_bytes", "cpuset/cpuset.cpus", "cpuset/cpuset.mems", "pids/pids.max")
        if (CONTROL / name.split("/")[0]).is_dir()
    }
    if not read:
        pytest.skip("this machine has no v1 memory, cpuset or pids controller: only devices are confined here")
    assert int(read["memory/memory.limit_in_bytes"]) == pytest.approx(whole * 0.45, rel=0.01)
    assert int(read["pids/pids.max"]) == 4096
    online = cpu_list(Path("/sys/devices/system/cpu/online"))
    inside = node.run("half", "nproc", stdout=subprocess.PIPE).communicate()[0]
    assert int(inside) == (len(online) - len(online) // 2 if len(online) > 1 else 1)
    node.root.ask("close", login=user.pw_name)


def test_everybody_in_a_group_is_killed_at_once(node: LinuxNode) -> None:
    if not list(CONTROL.glob("unified/cgroup.procs")):
        pytest.skip("cgroup v2 is not mounted beside v1: no cgroup.kill on this machine")
    user = node.open("many", minors=(0,))
    script = "for i in 1 2 3; do setsid bash -c 'trap \"\" TERM HUP; while :; do sleep 600; done' & done; wait"
    node.run("many", "bash", "-c", script)
    folders = [folder for folder in node.groups.folders(user.pw_uid) if "unified" in folder.parts]
    wait_until(lambda: len(members(folders)) >= 7)
    before = members(folders)
    kill(folders)
    for pid in before:
        wait_until_gone(pid)
    node.root.ask("close", login=user.pw_name)


def machine(folder: Path, nodes: int, cores: int) -> Path:
    """A /sys of so many NUMA nodes with so many cores of two threads each, 64 GiB a node."""
    system = folder / "devices/system"
    for numa in range(nodes):
        here = system / f"node/node{numa}"
        here.mkdir(parents=True)
        (here / "meminfo").write_text(f"Node {numa} MemTotal:  {64 * 2**20} kB\n")
        first, far = numa * cores, nodes * cores
        (here / "cpulist").write_text(f"{first}-{first + cores - 1},{far + first}-{far + first + cores - 1}\n")
        for core in range(first, first + cores):
            for cpu in (core, core + far):
                topology = system / f"cpu/cpu{cpu}/topology"
                topology.mkdir(parents=True)
                (topology / "thread_siblings_list").write_text(f"{core},{core + far}\n")
    return folder


def test_cores_lie_by_the_devices_and_are_nobody_elses(tmp_path: Path) -> None:
    system, devices = machine(tmp_path, nodes=2, cores=8), tuple((minor, minor // 4) for minor in range(8))
    each = [limits(system, (minor,), devices) for minor in range(8)]
    assert sorted(cpu for one in each for cpu in one.cpus) == list(range(32)), "every thread once"
    assert each[0] == Limits((0, 1, 16, 17), (0,), int(16 * GIB * 0.9), 4096)
    assert each[7].memory_nodes == (1,) and set(each[7].cpus) == {14, 15, 30, 31}
    four = limits(system, (2, 3, 4, 5), devices)
    assert four == Limits((4, 5, 6, 7, 8, 9, 10, 11, *range(20, 28)), (0, 1), int(64 * GIB * 0.9), 4 * 4096)
    assert limits(system, tuple(range(8)), devices).memory_bytes == int(128 * GIB * 0.9)


def test_more_devices_than_cores_share_them(tmp_path: Path) -> None:
    system, devices = machine(tmp_path, nodes=1, cores=2), tuple((minor, 0) for minor in range(4))
    assert all(limits(system, (minor,), devices).cpus for minor in range(4))


def test_the_slice_names_exactly_the_leases_devices(tmp_path: Path) -> None:
    said = drop_in(Limits((0, 1, 8), (0,), 3 * GIB, 4096), (Path("/dev/nvidia2"), Path("/dev/nvidiactl")))
    lines = said.splitlines()[1:]
    assert lines == [
        *("[Slice]", "DevicePolicy=closed", "DeviceAllow=/dev/nvidia2 rw", "DeviceAllow=/dev/nvidiactl rw"),
        *("AllowedCPUs=0 1 8", "AllowedMemoryNodes=0", "MemoryMax=3221225472", "MemorySwapMax=0", "TasksMax=4096"),
    ]
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here to read the slice with")
    unit = tmp_path / "user-2000001.slice"
    unit.write_text(said)
    checked = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert "user-2000001.slice" not in checked.stderr, checked.stderr


def test_a_group_with_people_in_it_is_not_removed(node: LinuxNode) -> None:
    user = node.open("inside", minors=(0,))
    node.run("inside", "sleep", "600")
    wait_until(lambda: members(node.groups.folders(user.pw_uid)))
    with pytest.raises(Refused, match="processes_remain"):
        node.groups.close(user.pw_uid)
    node.root.ask("close", login=user.pw_name)
    node.groups.close(user.pw_uid)
