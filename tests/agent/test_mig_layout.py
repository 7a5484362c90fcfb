"""MIG through the port to a host: a device is partitioned, its instances are leased apart, and it is made whole again.

The driver is the simulator's; on the Linux host the agent has no right to change anything, root's process has it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.host.base import HostError
from agent.journal import Journal
from agent.privileged.shares import limits
from tests.agent.envelopes import NODE, body, public, seal
from tests.agent.linux_node import NODE_DEVICES, linux_node
from tests.agent.test_host_devices import Site, either_host
from tests.simulator.nodes import ROOT, start_node, wait_until

pytestmark = pytest.mark.xdist_group("linux-node")
HALVES = '(("3g.40gb", 0), ("3g.40gb", 4))'


@pytest.fixture(params=["sandbox", "linux"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with either_host(request.param, tmp_path, "a100_sxm_8") as (driver, node):
        yield Site(tmp_path, driver, node)


def test_a_device_is_partitioned_changed_and_made_whole(site: Site) -> None:
    site.agent(
        """
        first = host.partition_device(uuids[0], (("3g.40gb", 4), ("1g.10gb", 0), ("1g.10gb", 1)))
        where = {(each.profile, each.start, each.size, each.of) for each in first}
        assert where == {("1g.10gb", 0, 1, 8), ("1g.10gb", 1, 1, 8), ("3g.40gb", 4, 4, 8)}, where
        told = nvml.device_facts(uuids[0])
        assert told.mig_enabled and {each.uuid for each in told.mig_instances} == {each.uuid for each in first}
        assert {each.memory_mib for each in told.mig_instances} == {9728, 40448}
        again = host.partition_device(uuids[0], (("3g.40gb", 4), ("1g.10gb", 0), ("1g.10gb", 1)))
        assert again == first, "what is there stays"
        changed = host.partition_device(uuids[0], (("3g.40gb", 4), ("2g.20gb", 0)))
        kept = {each.uuid for each in changed} & {each.uuid for each in first}
        assert kept == {each.uuid for each in first if each.profile == "3g.40gb"} and len(changed) == 2
        assert host.partition_device(uuids[0], ()) == host.partition_device(uuids[0], ()) == ()
        assert not nvml.device_facts(uuids[0]).mig_enabled and not nvml.device_facts(uuids[1]).mig_enabled
        """
    )


def test_a_layout_that_the_device_cannot_have_changes_nothing(site: Site) -> None:
    site.agent(
        f"""
        before = host.partition_device(uuids[0], {HALVES})
        for wrong in (
            (("3g.40gb", 0), ("4g.40gb", 0)), (("3g.40gb", 1),), (("9g.90gb", 0),),
            (("1g.10gb+me", 0), ("1g.10gb+me", 1)),
        ):
            assert refused(host.partition_device, uuids[0], wrong) == "INVALID_ARGUMENT", wrong
            assert refused(host.partition_device, uuids[1], wrong) == "INVALID_ARGUMENT", wrong
        assert host.partition_device(uuids[0], {HALVES}) == before
        assert not nvml.device_facts(uuids[1]).mig_enabled, "MIG was not even switched on"
        """
    )


def test_a_whole_device_of_a_login_is_not_partitioned(site: Site) -> None:
    site.hold(0)
    site.agent(
        f"""
        assert refused(host.partition_device, uuids[0], {HALVES}) == "device_of_a_login"
        assert len(host.partition_device(uuids[1], {HALVES})) == 2
        """
    )
    site.let_go()
    assert site.agent(f"print(len(host.partition_device(uuids[0], {HALVES})))") == "2"


def test_an_instance_of_a_login_stays_while_its_neighbours_change(site: Site) -> None:
    mine, other = json.loads(
        site.agent(
            f"""
            import json
            made = host.partition_device(uuids[0], {HALVES})
            print(json.dumps([[each.uuid, each.gpu_instance, each.compute_instance] for each in made]))
            """
        )
    )
    lend(site, "held", mine)
    site.agent(
        f"""
        for layout in ((), (("3g.40gb", 4),), (("7g.80gb", 0),)):
            assert refused(host.partition_device, uuids[0], layout) == "device_of_a_login", layout
        made = host.partition_device(uuids[0], (("3g.40gb", 0), ("1g.10gb", 4), ("1g.10gb", 5)))
        assert [each.uuid for each in made][0] == "{mine[0]}" and len(made) == 3
        """
    )
    give_back(site, "held")
    assert site.agent("print(host.partition_device(uuids[0], ()))") == "()"
    assert other[0] != mine[0]


def lend(site: Site, word: str, place: list[object]) -> None:
    """A login has an instance of the first device."""
    uuid, gpu, compute = place
    lease = f"L-{word}"
    site.journal.begin(f"CMD-{word}", lease, 1, "grant")
    site.journal.change_lease(lease, phase="granted", device_uuids=[uuid], hard_end=time.time() + 600)
    if site.node:
        site.node.offer_instance(0, int(str(gpu)), int(str(compute)), first=10 * int(str(gpu)))
        site.node.root.ask("open", **site.node.opening(word, parts=[[0, gpu, compute]]))


def give_back(site: Site, word: str) -> None:
    """It has it no more."""
    site.journal.change_lease(f"L-{word}", phase="revoked", ended_at=time.time())
    if site.node:
        site.node.root.ask("close", login=site.node.login(word))


def test_instances_under_a_process_stay(site: Site) -> None:
    site.agent(f"host.partition_device(uuids[0], {HALVES})")
    site.driver.brain.bind(os.getpid(), [0], 1000, mig=(1, 0))
    try:
        site.agent(
            """
            assert refused(host.partition_device, uuids[0], ()) == "IN_USE"
            there = nvml.device_facts(uuids[0]).mig_instances
            assert len(there) == 2, "nothing went, not even the idle one"
            found = [nvml.processes_on([each.uuid])[each.uuid] for each in there]
            assert sorted(map(len, found)) == [0, 1]
            """
        )
    finally:
        site.driver.brain.unbind(os.getpid())
    site.agent("host.partition_device(uuids[0], ())")


def test_an_instance_climbs_the_ladder_by_itself(site: Site) -> None:
    """Its own memory and processes, its GPU's health; a neighbour's work does not keep it from its tenant."""
    site.agent(f"host.partition_device(uuids[0], {HALVES})")
    site.driver.brain.bind(os.getpid(), [0], 20_000, mig=(1, 0))
    try:
        site.agent(
            """
            busy, idle = sorted(nvml.device_facts(uuids[0]).mig_instances, key=lambda each: each.gpu_instance)
            used, free = nvml.check_ready([busy.uuid, idle.uuid])
            assert free.passed, [check for check in free.checks if not check.passed]
            assert {check.code for check in used.checks if not check.passed} == {"no_processes", "memory_empty"}
            whole = nvml.check_ready([uuids[0]])[0]
            assert "mig_enabled" in {check.code for check in whole.checks if not check.passed}
            assert preparation.put_in_order(host, [idle.uuid]) == {idle.uuid: []}, "its GPU is its neighbours', too"
            """
        )
    finally:
        site.driver.brain.unbind(os.getpid())


def test_the_end_of_an_instance_is_nobody_elses(sandbox: Site) -> None:
    """What is found on the leased instance by the driver goes; the neighbour on the same GPU goes on."""
    made = json.loads(
        sandbox.agent(
            f"""
            import json
            made = host.partition_device(uuids[0], {HALVES})
            print(json.dumps([[each.uuid, each.gpu_instance, each.compute_instance] for each in made]))
            """
        )
    )
    run = [sys.executable, "-m", "simulator", "run", "--gpu", "0", "--mem", "500", "--state", str(sandbox.driver.state)]
    jobs = [
        subprocess.Popen([*run, "--instance", f"{gpu}:{compute}", "--", "sleep", "600"], cwd=ROOT)
        for _, gpu, compute in made
    ]
    wait_until(lambda: len(sandbox.driver.brain.processes()) == 2)
    lend(sandbox, "ending", made[0])
    ended = sandbox.agent(f'print(host.end_access(journal.lease("L-ending"), ("{made[0][0]}",)).killed)')
    assert ended == "1" and jobs[0].wait(20) != 0 and jobs[1].poll() is None
    jobs[1].terminate()
    jobs[1].wait(20)


def test_a_device_is_made_whole_before_it_is_lent_whole(site: Site) -> None:
    said = site.agent(
        f"""
        host.partition_device(uuids[0], {HALVES})
        (action,) = preparation.put_in_order(host, uuids[:1])[uuids[0]]
        print(action.name, action.value, action.result, nvml.check_ready(uuids[:1])[0].passed)
        """
    )
    assert said == "mig_mode off done True"


def test_a_gpu_without_mig_says_so(tmp_path: Path) -> None:
    driver = start_node(tmp_path, "l40s_8", count=1)
    try:
        Site(tmp_path, driver, None).agent(
            'assert refused(host.partition_device, uuids[0], (("1g.10gb", 0),)) == "NOT_SUPPORTED"'
        )
    finally:
        driver.stop()


MORTAL = """
import os, signal, sys
from agent import nvml
from agent.nvml import library, mig

uuid, step = sys.argv[1], int(sys.argv[2])
layouts = [(), (("1g.10gb", 0), ("3g.40gb", 4)), (("2g.20gb", 0), ("3g.40gb", 4), ("1g.10gb", 2))]
before, after = layouts[int(sys.argv[3])], layouts[int(sys.argv[4])]
nvml.partition(uuid, nvml.plan_layout(uuid, before))
plan, real = nvml.plan_layout(uuid, after), library.call

def call(function, *arguments):
    global step
    if "Get" not in function.__name__:
        step -= 1
        if step == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return real(function, *arguments)

mig.call = call
mig.carry_out(uuid, plan)
print("through")
"""
"""Dies before its step-th call that changes something."""


@pytest.mark.parametrize(("before", "after"), [(0, 1), (1, 2), (2, 0)], ids=["made", "changed", "unmade"])
def test_killed_before_any_change_it_is_made_good(tmp_path: Path, before: int, after: int) -> None:
    driver = start_node(tmp_path, "a100_sxm_8", count=1)
    site, deaths = Site(tmp_path, driver, None), 0
    try:
        for step in range(1, 20):
            words = [sys.executable, "-c", MORTAL, site.uuids[0], str(step), str(before), str(after)]
            ran = subprocess.run(words, env=driver.env, cwd=ROOT, capture_output=True, text=True, check=False)
            assert ran.returncode in (0, -signal.SIGKILL), ran.stderr
            wanted = ["()", '(("1g.10gb", 0), ("3g.40gb", 4))', '(("2g.20gb", 0), ("3g.40gb", 4), ("1g.10gb", 2))'][
                after
            ]
            site.agent(
                f"""
                made = host.partition_device(uuids[0], {wanted})
                assert {{(each.profile, each.start) for each in made}} == set({wanted})
                assert nvml.device_facts(uuids[0]).mig_enabled is bool({wanted})
                """
            )
            if ran.returncode == 0:
                break
            deaths += 1
        assert deaths >= 4
    finally:
        driver.stop()


def test_two_logins_have_instances_of_one_gpu_and_no_third_the_same(tmp_path: Path) -> None:
    driver = start_node(tmp_path, "a100_sxm_8", count=1)
    try:
        with linux_node(driver.env) as node:
            site = Site(tmp_path, driver, node)
            site.agent(f"host.partition_device(uuids[0], {HALVES})")
            node.offer_instance(0, 1, 0, first=30)
            node.offer_instance(0, 2, 0, first=40)
            node.open("one", parts=[[0, 1, 0]])
            for word, parts, code in (
                ("same", [[0, 1, 0]], "device_of_another_login"),
                ("whole", [], "device_of_another_login"),
                ("none", [[0, 5, 0]], "no_device"),
                ("other", [[1, 2, 0]], "bad_request"),
            ):
                with pytest.raises(HostError, match=code):
                    node.open(word, parts=parts)
            node.open("two", parts=[[0, 2, 0]])
            tenants = json.loads((node.folder / "state/ledger.json").read_text())["tenants"]
            found = {each["login"]: each["capability_minors"] for each in tenants}
            assert found == {node.login("one"): [30, 31], node.login("two"): [40, 41]}
            node.offer_instance(0, 3, 0, first=50)
            with pytest.raises(HostError, match="no_share"):
                node.open("byhand", parts=[[0, 3, 0]])
            for word in ("one", "two"):
                node.root.ask("close", login=node.login(word))
    finally:
        driver.stop()


def test_an_instance_has_its_part_of_the_cores_and_the_memory(tmp_path: Path) -> None:
    folder = tmp_path / "devices/system"
    (folder / "cpu").mkdir(parents=True)
    (folder / "cpu/online").write_text("0-31\n")
    devices = tuple((minor, numa) for minor, numa in NODE_DEVICES)
    whole = limits(tmp_path, (0,), devices)
    half = limits(tmp_path, (0,), devices, {0: [(4, 4, 8)]})
    other = limits(tmp_path, (0,), devices, {0: [(0, 4, 8)]})
    two = limits(tmp_path, (0,), devices, {0: [(0, 1, 8), (1, 1, 8)]})
    assert whole.cpus == tuple(range(16)) and half.cpus == tuple(range(8, 16)) and other.cpus == tuple(range(8))
    assert two.cpus == tuple(range(4)) and two.tasks == half.tasks // 2
    assert abs(half.memory_bytes * 2 - whole.memory_bytes) <= 2


COMMAND = """
import json, os, signal, sys
from pathlib import Path
from agent import nvml
from agent.executor import Executor
from agent.host.sandbox import SandboxHost
from agent.journal import Journal
from agent.portal_client import PortalClient

class Mortal(Journal):
    left = int(sys.argv[3])
    def connect(self):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().connect()

folder, envelope = Path(sys.argv[1]), json.loads(sys.argv[2])
journal = Mortal(folder / "state")
executor = Executor(journal, SandboxHost(folder, journal), PortalClient("http://127.0.0.1:9", folder / "token"))
answer = executor.run(envelope)
print(json.dumps([answer.outcome, answer.result]))
"""
"""Runs a command; dies before its n-th access to the journal, or with 0 not at all."""


class Commanded:
    """A node's folder that a portal's key is pinned in, over a driver."""

    def __init__(self, folder: Path, site: Site) -> None:
        folder.mkdir()
        (folder / "token").write_text("secret\n")
        self.folder, self.site, self.key = folder, site, Ed25519PrivateKey.generate()
        journal = Journal(folder / "state")
        journal.pin("node", NODE)
        journal.pin("signing_key", public(self.key))

    def run(self, step: int = 0, **changes: Any) -> tuple[int, Any]:
        """Exit status, and [outcome, result] where it came to one."""
        said = body("partition", device_uuids=changes.pop("device_uuids", self.site.uuids[:1]), **changes)
        said["payload"]["layout"] = said.pop("layout", [["3g.40gb", 0], ["1g.10gb", 4]])
        words = [sys.executable, "-c", COMMAND, str(self.folder), json.dumps(seal(self.key, said)), str(step)]
        ran = subprocess.run(words, env=self.site.driver.env, cwd=ROOT, capture_output=True, text=True, check=False)
        return ran.returncode, json.loads(ran.stdout) if ran.stdout else ran.stderr


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Site]:
    driver = start_node(tmp_path, "a100_sxm_8", count=1)
    yield Site(tmp_path, driver, None)
    driver.stop()


def test_a_command_is_answered_with_the_instances_and_once(sandbox: Site, tmp_path: Path) -> None:
    node = Commanded(tmp_path / "node", sandbox)
    status, (outcome, result) = node.run()
    assert status == 0 and outcome == "done"
    assert [(each["profile"], each["start"]) for each in result["instances"]] == [("3g.40gb", 0), ("1g.10gb", 4)]
    sandbox.agent("host.partition_device(uuids[0], ())")
    assert node.run() == (0, ["done", result]), "a repeat is answered from the record"
    assert sandbox.agent("print(nvml.device_facts(uuids[0]).mig_enabled)") == "False", "and does nothing"
    assert node.run(generation=2, layout=[["3g.40gb", 1]]) == (0, ["failed", {"error": "INVALID_ARGUMENT"}])
    assert node.run(generation=1, id="CMD-old") == (0, ["failed", {"error": "stale_generation", "highest": 2}])


@pytest.mark.parametrize(
    "wrong",
    [
        {"device_uuids": []},
        {"device_uuids": ["GPU-1", "GPU-2"]},
        {"device_uuids": ["MIG-1"]},
        *({"layout": each} for each in ([["../1g", 0]], [["1g.10gb"]], [["1g.10gb", 0]] * 33, [["1g.10gb", "x"]], 1)),
    ],
    ids=str,
)
def test_a_command_of_another_shape_is_not_believed(sandbox: Site, tmp_path: Path, wrong: dict[str, Any]) -> None:
    status, said = Commanded(tmp_path / "node", sandbox).run(**wrong)
    assert status == 1 and "CommandRefused: bad shape" in said


def test_a_command_killed_before_any_of_its_steps_is_made_good(sandbox: Site, tmp_path: Path) -> None:
    deaths = 0
    for step in range(1, 30):
        node = Commanded(tmp_path / f"node-{step}", sandbox)
        status, _ = node.run(step)
        if status == 0:
            break
        assert status == -signal.SIGKILL
        deaths += 1
        status, (outcome, result) = node.run()
        assert status == 0 and outcome == "done"
        assert [(each["profile"], each["start"]) for each in result["instances"]] == [("3g.40gb", 0), ("1g.10gb", 4)]
        sandbox.agent("host.partition_device(uuids[0], ())")
    assert deaths >= 4
