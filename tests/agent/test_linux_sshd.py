"""A real sshd with the snippet that nodes get: who is let in, until when, and who is not."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.host.base import HostError
from agent.host.linux import LinuxHost, SshdKeeper
from agent.journal import Journal
from tests.agent.linux_door import Sshd, new_authority, sign, ssh, sshd
from tests.agent.linux_node import LinuxNode, linux_node
from tests.simulator.nodes import wait_until

pytestmark = pytest.mark.xdist_group("linux-node")


@pytest.fixture(scope="module")
def node() -> Iterator[LinuxNode]:
    with linux_node() as made:
        made.root.ask("trust", key=new_authority(made.folder / "ca"))
        yield made


@pytest.fixture(scope="module")
def door(node: LinuxNode) -> Iterator[Sshd]:
    with sshd(node) as made:
        yield made


@pytest.fixture
def login(node: LinuxNode) -> Iterator[str]:
    yield node.open("in").pw_name
    node.root.ask("close", login=node.login("in"))


def test_a_certificate_of_the_portal_opens_its_login(node: LinuxNode, door: Sshd, login: str, tmp_path: Path) -> None:
    sign(node.folder / "ca", tmp_path / "id", principals=login, serial=1)
    said = ssh(door, login, tmp_path / "id", "id -un; pwd; exit 3")
    assert (said.returncode, said.stdout.split()) == (3, [login, str(node.folder / "homes" / login)]), said.stderr
    assert ssh(door, login, tmp_path / "id", "tty; test -t 0").returncode != 0


def test_who_is_not_let_in(node: LinuxNode, door: Sshd, login: str, tmp_path: Path) -> None:
    new_authority(tmp_path / "other-ca")
    attempts = {
        "expired": {"principals": login, "validity": "-10m:-1m"},
        "not yet": {"principals": login, "validity": "+1h:+2h"},
        "another principal": {"principals": "bg-another"},
        "no principal": {"principals": ""},
    }
    for number, (name, words) in enumerate(attempts.items(), 10):
        key = tmp_path / name.replace(" ", "-")
        sign(node.folder / "ca", key, serial=number, **words)
        assert ssh(door, login, key, "true").returncode == 255, name
    sign(tmp_path / "other-ca", tmp_path / "foreign", principals=login, serial=20)
    assert ssh(door, login, tmp_path / "foreign", "true").returncode == 255
    assert "expired" in door.log.read_text()


def test_the_portals_ca_opens_no_other_account(node: LinuxNode, door: Sshd, login: str, tmp_path: Path) -> None:
    sign(node.folder / "ca", tmp_path / "id", principals=f"root,{login}", serial=2)
    assert ssh(door, login, tmp_path / "id", "true").returncode == 0
    assert ssh(door, "root", tmp_path / "id", "true").returncode == 255


def test_keys_in_the_home_open_nothing(node: LinuxNode, door: Sshd, login: str, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "id")], check=True)
    public = (tmp_path / "id.pub").read_text()
    script = f"mkdir -m 700 ~/.ssh; echo '{public}' >~/.ssh/authorized_keys; chmod 600 ~/.ssh/authorized_keys"
    assert node.run("in", "bash", "-ec", script).wait() == 0
    assert ssh(door, login, tmp_path / "id", "true").returncode == 255


def test_a_revoked_certificate_is_refused_and_its_neighbours_are_not(
    node: LinuxNode, door: Sshd, login: str, tmp_path: Path
) -> None:
    for serial in (31, 32, 33):
        sign(node.folder / "ca", tmp_path / f"id{serial}", principals=login, serial=serial)
        assert ssh(door, login, tmp_path / f"id{serial}", "true").returncode == 0
    node.root.ask("refuse", serials=[31])
    node.root.ask("refuse", serials=[33, 2**64 - 1])
    statuses = [ssh(door, login, tmp_path / f"id{serial}", "true").returncode for serial in (31, 32, 33)]
    assert statuses == [255, 0, 255]
    assert "revoked" in door.log.read_text()
    query = ["ssh-keygen", "-Q", "-f", str(node.folder / "ssh/revoked.krl")]
    assert subprocess.run([*query, str(tmp_path / "id32-cert.pub")], capture_output=True).returncode == 0
    assert subprocess.run([*query, str(tmp_path / "id33-cert.pub")], capture_output=True).returncode == 1


def test_another_authority_is_not_believed_later(node: LinuxNode, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="another_authority"):
        node.root.ask("trust", key=new_authority(tmp_path / "other-ca"))


def test_nothing_is_forwarded(node: LinuxNode, door: Sshd, login: str, tmp_path: Path) -> None:
    sign(node.folder / "ca", tmp_path / "id", principals=login, serial=3)
    port = str(door.port)
    words = ["ssh", "-F", "none", "-i", str(tmp_path / "id"), "-p", port, "-o", "StrictHostKeyChecking=no"]
    words += ["-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-W", f"127.0.0.1:{port}"]
    said = subprocess.run([*words, f"{login}@127.0.0.1"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert said.returncode != 0 and "prohibited" in said.stderr


def test_sshd_itself_shuts_at_the_hard_end_and_an_extension_opens(node: LinuxNode, door: Sshd, tmp_path: Path) -> None:
    login = node.open("clock", minors=(1,), seconds=2).pw_name
    sign(node.folder / "ca", tmp_path / "id", principals=login, serial=4)
    wait_until(lambda: ssh(door, login, tmp_path / "id", "true").returncode == 255)
    journal = Journal(tmp_path / "state")
    journal.begin("CMD-1", "L-clock", 1, "grant")
    journal.change_lease("L-clock", phase="granted", login=login, hard_end=time.time() + 600)
    host = LinuxHost(journal, node.root, f"127.0.0.1:{door.port}", door.host_key)
    assert SshdKeeper(journal, host, node.root).tell()
    assert ssh(door, login, tmp_path / "id", "true").returncode == 0
    node.root.ask("close", login=login)
    assert ssh(door, login, tmp_path / "id", "true").returncode == 255
    assert SshdKeeper(journal, host, node.root).tell(), "refused for good: not told again and again"
    assert ssh(door, login, tmp_path / "id", "true").returncode == 255, "an extension opens nothing that is closed"


def test_an_open_session_ends_with_the_lease(node: LinuxNode, door: Sshd, login: str, tmp_path: Path) -> None:
    sign(node.folder / "ca", tmp_path / "id", principals=login, serial=5)
    words = ["ssh", "-F", "none", "-i", str(tmp_path / "id"), "-p", str(door.port), "-o", "StrictHostKeyChecking=no"]
    words += ["-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", f"{login}@127.0.0.1"]
    session = subprocess.Popen([*words, "echo in; trap '' TERM HUP; sleep 600"], stdout=subprocess.PIPE)
    assert session.stdout is not None and session.stdout.readline() == b"in\n"
    done = node.root.ask("close", login=login)
    assert done["remaining"] == [] and done["killed"] >= 2
    session.wait(10)
