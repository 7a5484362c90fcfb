"""The executor with no portal in reach: what it refuses, what it remembers, and a kill -9 in the middle."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.commands import CommandRefused
from agent.dead_man import DeadMan
from agent.executor import Executor
from agent.host.processes import mark_of
from agent.host.sandbox import SandboxHost
from agent.journal import Journal
from agent.portal_client import PortalClient
from tests.agent.envelopes import NODE, body, public, seal
from tests.agent.running import is_alive, wait_until_gone
from tests.simulator.nodes import ROOT, wait_until

NOBODY = "http://127.0.0.1:9"  # the discard port: refused at once
STUBBORN = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(600)"
)
RUN_ONE = """
import json, sys
from pathlib import Path
from tests.agent.test_executor import make_executor
folder, envelope = Path(sys.argv[1]), json.loads(sys.argv[2])
print(make_executor(folder).run(envelope).outcome)
"""


def make_executor(folder: Path) -> Executor:
    """An executor over a folder, whose portal never answers."""
    journal = Journal(folder / "state")
    return Executor(journal, SandboxHost(folder, journal), PortalClient(NOBODY, folder / "token"))


class Bench:
    """A node that has said hello once, and the portal's key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "token").write_text("secret\n")
        self.key = Ed25519PrivateKey.generate()
        self.executor = make_executor(folder)
        self.journal = Journal(folder / "state")
        self.host = SandboxHost(folder, self.journal)
        self.journal.pin("node", NODE)
        self.journal.pin("signing_key", public(self.key))
        self.journal.remember("door", json.dumps({"host": "127.0.0.1", "port": 2222, "host_key": "ssh-ed25519 AAAA"}))

    def run(self, verb: str, **changes: Any) -> tuple[str, dict[str, Any]]:
        """Run a well signed command."""
        answer = self.executor.run(seal(self.key, body(verb, **changes)))
        return answer.outcome, answer.result

    def tenant(self, code: str = "import time; print('up', flush=True); time.sleep(600)", **marks: str) -> Any:
        """A tenant's process with the lease's marker."""
        marks = {"BITGOEUL_LEASE": "L-1", "BITGOEUL_NODE": self.host.mark(), **marks}
        process = subprocess.Popen(
            [sys.executable, "-c", code], env={**os.environ, **marks}, stdout=subprocess.PIPE, start_new_session=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        return process


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_signature_is_checked_over_the_very_bytes(bench: Bench) -> None:
    good = seal(bench.key, body("grant"))
    others = seal(Ed25519PrivateKey.generate(), body("grant"))
    changed = {**good, "command": good["command"].replace("bg-test", "bg-evil")}
    respelt = {**good, "command": good["command"] + " "}
    bare = {**good, "signature": base64.b64encode(bench.key.sign(good["command"].encode())).decode()}
    for envelope in (others, changed, respelt, bare, {"command": good["command"]}, {**good, "signature": "!"}):
        with pytest.raises(CommandRefused):
            bench.executor.run(envelope)
    assert bench.journal.open_leases() == []
    assert bench.executor.run(good).outcome == "done"


def test_commands_for_others_and_names_that_are_paths_are_refused(bench: Bench) -> None:
    for changes in ({"node": "gpu-02"}, {"lease": "../L-1"}, {"login": "../root"}, {"verb": "perform"}):
        with pytest.raises(CommandRefused):
            bench.run(**{"verb": "grant", **changes})


def test_a_late_command_and_a_lower_generation_fail(bench: Bench) -> None:
    assert bench.run("grant", deadline_at=time.time() - 1) == ("failed", {"error": "deadline_passed"})
    assert bench.run("grant", id="CMD-5", generation=5)[0] == "done"
    outcome, result = bench.run("revoke", generation=4)
    assert (outcome, result["error"]) == ("failed", "stale_generation")
    assert [lease.phase for lease in bench.journal.open_leases()] == ["granted"]


def test_a_repeat_is_answered_from_the_record(bench: Bench) -> None:
    envelope = seal(bench.key, body("grant"))
    first = bench.executor.run(envelope)
    bench.journal.remember("door", json.dumps({"host": "elsewhere", "port": 1, "host_key": "k"}))
    assert bench.executor.run(envelope) == first
    assert [record.id for record in bench.journal.unreported()] == ["CMD-grant-1"]


def test_a_lease_is_granted_extended_and_revoked(bench: Bench) -> None:
    outcome, granted = bench.run("grant")
    assert (outcome, granted["login"], granted["port"]) == ("done", "bg-test", 2222)
    assert (bench.folder / "homes/bg-test").stat().st_mode & 0o777 == 0o700
    later = time.time() + 7200
    assert bench.run("extend", generation=2, hard_end=later)[0] == "done"
    assert bench.journal.open_leases()[0].hard_end == pytest.approx(later, abs=1)
    tenant, neighbour = bench.tenant(), bench.tenant(BITGOEUL_LEASE="L-2")
    elsewhere = bench.tenant(BITGOEUL_NODE=mark_of("gpu-02", bench.folder))
    another_portal = bench.tenant(BITGOEUL_NODE=mark_of(NODE, bench.folder / "of another demo"))
    try:
        outcome, revoked = bench.run("revoke", generation=3)
        assert (outcome, revoked["killed"], revoked["remaining"]) == ("done", 1, [])
        assert tenant.wait(10) == -signal.SIGTERM
        assert neighbour.poll() is None, "another lease's process"
        assert elsewhere.poll() is None, "the same lease on another node of this machine"
        assert bench.host.end_everything().killed == 1 and neighbour.wait(10) == -signal.SIGTERM
        assert elsewhere.poll() is None
        assert another_portal.poll() is None, "a node of the same name in another portal's sandbox"
    finally:
        for process in (tenant, neighbour, elsewhere, another_portal):
            process.kill()
            process.wait()
    assert bench.run("grant", id="late", generation=3)[1] == {"error": "access_has_ended"}
    assert bench.run("extend", id="later", generation=3)[1] == {"error": "access_has_ended"}


def test_a_device_is_not_granted_twice(bench: Bench) -> None:
    assert bench.run("grant", device_uuids=["GPU-a"])[0] == "done"
    second = bench.run("grant", id="CMD-other", lease="L-2", device_uuids=["GPU-a"])
    assert second == ("failed", {"error": "device_held_by_another_lease"})


def test_devices_are_changed_only_of_a_lease_that_is_open_here_and_only_for_checked_ones(bench: Bench) -> None:
    asked: dict[str, Any] = {"device_uuids": ["GPU-a"], "leaving": ["GPU-b"]}
    assert bench.run("reshape", **asked) == ("failed", {"error": "not_granted"})
    assert bench.run("grant", generation=2, device_uuids=["GPU-a", "GPU-b"])[0] == "done"
    comes: dict[str, Any] = {"device_uuids": ["GPU-a", "GPU-c"], "leaving": ["GPU-b"]}
    assert bench.run("reshape", generation=3, **comes) == ("failed", {"error": "not_verified"})
    assert bench.run("grant", id="CMD-other", lease="L-2", device_uuids=["GPU-d"])[0] == "done"
    held: dict[str, Any] = {"device_uuids": ["GPU-a", "GPU-d"]}
    assert bench.run("reshape", generation=4, **held) == ("failed", {"error": "device_held_by_another_lease"})
    assert bench.run("reshape", id="late", generation=3, **asked)[1]["error"] == "stale_generation"
    (lease, _other) = bench.journal.open_leases()
    assert lease.device_uuids == ("GPU-a", "GPU-b"), "a refusal changes nothing"
    bench.journal.change_lease("L-1", hard_end=time.time() - 1)
    assert bench.run("reshape", generation=5, **asked)[1] == {"error": "hard_end_passed"}
    assert bench.run("revoke", generation=6)[0] == "done"
    assert bench.run("reshape", id="after", generation=6, **asked)[1] == {"error": "access_has_ended"}
    for nonsense in ({"device_uuids": []}, {"device_uuids": ["GPU-a"], "leaving": ["GPU-a"]}):
        with pytest.raises(CommandRefused):
            bench.run("reshape", id="odd", generation=7, **nonsense)


def test_a_device_that_is_not_quite_given_up_is_nobody_elses_and_ends_with_the_lease(bench: Bench) -> None:
    bench.run("grant", device_uuids=["GPU-a", "GPU-b"])
    bench.journal.change_lease("L-1", device_uuids=["GPU-a"], leaving={"GPU-b": None})  # as a crash leaves it
    other: dict[str, Any] = {"lease": "L-2", "login": "bg-two", "device_uuids": ["GPU-b"]}
    assert bench.run("grant", id="CMD-2", **other)[1] == {"error": "device_held_by_another_lease"}
    bench.journal.change_lease("L-1", hard_end=time.time() - 1)
    DeadMan(bench.journal, bench.executor, PortalClient(NOBODY, bench.folder / "token")).end_overdue()
    wait_until(lambda: not bench.journal.open_leases())
    assert bench.run("grant", id="CMD-3", generation=2, **other)[0] == "done"


def test_a_kill_in_the_middle_of_a_revocation_is_made_good(bench: Bench) -> None:
    bench.run("grant")
    tenant = bench.tenant(STUBBORN)
    envelope = seal(bench.key, body("revoke", generation=2))
    first = subprocess.Popen([sys.executable, "-c", RUN_ONE, str(bench.folder), json.dumps(envelope)], cwd=ROOT)
    wait_until(lambda: [lease.phase for lease in bench.journal.open_leases()] == ["closing"])
    first.kill()
    first.wait()
    assert is_alive(tenant.pid), "it ignores SIGTERM, and the grace was not over"
    record = bench.journal.command("CMD-revoke-2")
    assert record is not None
    assert record.outcome is None
    answer = bench.executor.run(envelope)
    assert (answer.outcome, answer.result["remaining"]) == ("done", [])
    assert tenant.wait(10) == -signal.SIGKILL
    assert bench.journal.open_leases() == []


def test_descendants_that_shed_the_marker_end_too(bench: Bench) -> None:
    bench.run("grant")
    code = (
        "import subprocess\nc = subprocess.Popen(['env', '-i', 'sleep', '600'], start_new_session=True)\n"
        "print('up', flush=True)\nprint(c.pid, flush=True)\nc.wait()"
    )
    tenant = bench.tenant(code)
    child = int(tenant.stdout.readline())
    assert bench.run("revoke")[0] == "done"
    wait_until_gone(child)
    tenant.wait(10)


def test_reclaiming_removes_what_the_people_left_behind(bench: Bench) -> None:
    bench.run("grant")
    home = bench.folder / "homes/bg-test"
    (home / "data").mkdir()
    (home / "data/weights.bin").write_bytes(b"secret")
    (bench.folder / "homes/.going-bg-test").mkdir()  # as a crash in the middle of an earlier try leaves it
    assert bench.run("reclaim", generation=2)[1]["error"] == "still_granted"
    assert home.exists()
    assert bench.run("revoke", generation=3)[0] == "done"
    assert bench.run("reclaim", generation=4)[0] == "done"
    assert list((bench.folder / "homes").iterdir()) == []


def test_a_login_is_not_let_in_past_its_hard_end(bench: Bench) -> None:
    bench.run("grant", hard_end=time.time() + 600)
    assert bench.journal.granted_login("bg-test") is not None
    bench.journal.change_lease("L-1", hard_end=time.time() - 0.001)
    assert bench.journal.granted_login("bg-test") is None


def test_a_stubborn_lease_does_not_hold_up_another_at_its_hard_end(bench: Bench) -> None:
    soon = time.time() + 1
    bench.run("grant", hard_end=soon)
    bench.run("grant", id="CMD-2", lease="L-2", login="bg-two", hard_end=soon)
    stubborn, meek = bench.tenant(STUBBORN), bench.tenant(BITGOEUL_LEASE="L-2")
    dead_man = DeadMan(bench.journal, bench.executor, PortalClient(NOBODY, bench.folder / "token"))
    wait_until(lambda: dead_man.end_overdue() or meek.poll() is not None)
    assert stubborn.poll() is None, "its grace is not over"
    wait_until(lambda: dead_man.end_overdue() or not bench.journal.open_leases())
    assert stubborn.wait(10) == -signal.SIGKILL


def test_the_dead_man_ends_access_with_no_portal_and_remembers_to_tell(bench: Bench) -> None:
    bench.run("grant", hard_end=time.time() + 1)
    tenant = bench.tenant()
    portal = PortalClient(NOBODY, bench.folder / "token")
    again = DeadMan(bench.journal, make_executor(bench.folder), portal)  # as after a restart: only the disk knows
    wait_until(lambda: again.end_overdue() or not bench.journal.open_leases())
    assert tenant.wait(10) == -signal.SIGTERM
    again.report()
    assert [lease.killed for lease in bench.journal.ended_leases(since=None)] == [1], "not told: it stays to be told"
