"""Users of leases, for real: what they are made of, that their number never comes back, and that nothing stays."""

from __future__ import annotations

import grp
import json
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.host.base import HostError
from tests.agent.linux_node import LinuxNode, linux_node

pytestmark = pytest.mark.xdist_group("linux-node")


@pytest.fixture(scope="module")
def node() -> Iterator[LinuxNode]:
    with linux_node() as made:
        # The first login makes the ledger and the folders: no test is the one that must run first.
        first = made.open("first")
        made.root.ask("close", login=first.pw_name)
        made.root.ask("clean", login=first.pw_name)
        yield made


def shadow(login: str) -> list[str]:
    """The fields of the login's line in /etc/shadow."""
    lines = Path("/etc/shadow").read_text().splitlines()
    return next(line.split(":") for line in lines if line.startswith(f"{login}:"))


def test_a_login_is_a_user_of_its_own_with_a_private_home(node: LinuxNode) -> None:
    user = node.open("made")
    home = Path(user.pw_dir)
    assert (user.pw_gid, grp.getgrgid(user.pw_gid).gr_name) == (user.pw_uid, user.pw_name)
    assert node.first_uid <= user.pw_uid < node.first_uid + 50
    assert home == node.folder / "homes" / user.pw_name
    assert (home.stat().st_mode & 0o7777, home.stat().st_uid) == (0o700, user.pw_uid)
    assert (home.parent.stat().st_mode & 0o7777, home.parent.stat().st_uid) == (0o711, 0)
    assert shadow(user.pw_name)[1] == "*", "no password fits"
    for table in ("/etc/subuid", "/etc/subgid"):
        assert user.pw_name not in (Path(table).read_text() if Path(table).exists() else "")
    (home / "kept").write_text("work")
    assert node.open("made") == user
    assert (home / "kept").exists()
    node.root.ask("close", login=user.pw_name)
    assert shadow(user.pw_name)[1].startswith("!") and shadow(user.pw_name)[7] == "1", "locked and expired"
    assert node.open("made") == user
    assert (shadow(user.pw_name)[1], shadow(user.pw_name)[7]) == ("*", "")
    node.root.ask("close", login=user.pw_name)


def test_a_uid_is_never_used_again(node: LinuxNode) -> None:
    seen = []
    for _ in range(3):
        user = node.open("again")
        seen.append(user.pw_uid)
        node.root.ask("close", login=user.pw_name)
        node.root.ask("clean", login=user.pw_name)
        with pytest.raises(KeyError):
            pwd.getpwnam(user.pw_name)
        with pytest.raises(KeyError):
            grp.getgrgid(user.pw_uid)
        assert not Path(user.pw_dir).exists()
    assert seen == sorted(set(seen))
    assert json.loads((node.folder / "state/ledger.json").read_text())["next_uid"] == seen[-1] + 1


def test_a_uid_of_somebody_else_is_passed_over(node: LinuxNode) -> None:
    upcoming = json.loads((node.folder / "state/ledger.json").read_text())["next_uid"]
    stranger, group = node.login("stranger"), node.login("group")
    subprocess.run(["useradd", "-M", "-u", str(upcoming), stranger], check=True, capture_output=True)
    subprocess.run(["groupadd", "-g", str(upcoming + 1), group], check=True, capture_output=True)
    try:
        assert node.open("beside", minors=(1,)).pw_uid == upcoming + 2
        with pytest.raises(HostError, match="login_taken"):
            node.root.ask("open", **node.opening("stranger", minors=(0,)))
        assert node.root.ask("close", login=node.login("beside"))["remaining"] == []
        assert pwd.getpwnam(stranger).pw_uid == upcoming, "not ours: let be"
    finally:
        subprocess.run(["userdel", stranger], check=True)
        subprocess.run(["groupdel", group], check=True)
    for word in ("stranger", "beside"):
        node.root.ask("close", login=node.login(word))
        node.root.ask("clean", login=node.login(word))


def test_a_broken_ledger_still_shuts_the_door(node: LinuxNode) -> None:
    user, ledger = node.open("broken"), node.folder / "state/ledger.json"
    kept = ledger.read_text()
    ledger.write_text(kept[: len(kept) // 2])
    with pytest.raises(HostError, match="ledger_broken"):
        node.root.ask("close", login=user.pw_name)
    assert not (node.folder / "ssh/principals" / user.pw_name).exists()
    ledger.write_text(kept)
    node.root.ask("close", login=user.pw_name)


def test_a_lost_ledger_does_not_start_over(node: LinuxNode) -> None:
    user = node.open("ledger")
    ledger = node.folder / "state/ledger.json"
    kept = ledger.rename(ledger.with_suffix(".kept"))
    try:
        with pytest.raises(HostError, match="ledger_lost"):
            node.root.ask("open", **node.opening("other", minors=(1,)))
    finally:
        kept.rename(ledger)
    node.root.ask("close", login=user.pw_name)


def test_cleaning_removes_what_was_left_everywhere(node: LinuxNode) -> None:
    user, shared = node.open("messy"), node.folder / "shared"
    (shared / "others").write_text("stays")
    (shared / "common").mkdir()
    (shared / "common").chmod(0o1777)
    (node.folder / "target").mkdir()
    (node.folder / "target/precious").write_text("stays")
    script = f"""
        cd {shared}; echo x > file; mkdir -p tree/deep; echo x > tree/deep/file; mkdir tree/locked; chmod 0 tree/locked
        chmod 777 tree; mkfifo fifo; echo x > common/file; ln -s {node.folder}/target link; ln -s nowhere dangling
        ipcmk -M 1024; ipcmk -S 1; ipcmk -Q
    """
    assert node.run("messy", "bash", "-ec", script, stdout=subprocess.DEVNULL).wait() == 0
    (shared / "tree/of-somebody-else").write_text("goes with the folder that it was put into")
    with pytest.raises(HostError, match="still_open"):
        node.root.ask("clean", login=user.pw_name)
    assert (shared / "file").exists()
    node.root.ask("close", login=user.pw_name)
    node.root.ask("clean", login=user.pw_name)
    assert sorted(str(path.relative_to(shared)) for path in shared.rglob("*")) == ["common", "others"]
    assert (node.folder / "target/precious").exists(), "a link leads nowhere"
    for kind in ("shm", "sem", "msg"):
        assert str(user.pw_uid) not in Path(f"/proc/sysvipc/{kind}").read_text()
    node.root.ask("clean", login=user.pw_name)


def test_folders_that_are_not_roots_alone_are_refused(node: LinuxNode) -> None:
    homes, aside = node.folder / "homes", node.folder / "aside"
    homes.chmod(0o777)
    with pytest.raises(HostError, match="unsafe_folder"):
        node.root.ask("open", **node.opening("unsafe"))
    homes.chmod(0o711)
    homes.rename(aside)
    homes.symlink_to(aside)
    try:
        with pytest.raises(HostError, match="unsafe_folder"):
            node.root.ask("open", **node.opening("unsafe"))
    finally:
        homes.unlink()
        aside.rename(homes)
    (homes / node.login("unsafe")).mkdir()
    with pytest.raises(HostError, match="no_home"):
        node.root.ask("open", **node.opening("unsafe"))
    (homes / node.login("unsafe")).rmdir()
    (homes / node.login("unsafe")).symlink_to("/etc")
    with pytest.raises(HostError, match="no_home"):
        node.root.ask("open", **node.opening("unsafe"))
    node.root.ask("close", login=node.login("unsafe"))
    (homes / node.login("unsafe")).unlink()
    node.root.ask("clean", login=node.login("unsafe"))
