"""The root part's socket: who may ask, in which shape, what is written down, and that nothing else is taken."""

from __future__ import annotations

import json
import os
import pwd
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.host.base import HostError
from agent.host.root_part import RootPart
from agent.privileged.places import Refused
from agent.privileged.requests import MAX_BYTES, VERBS, read
from tests.agent.linux_node import LinuxNode, linux_node
from tests.simulator.nodes import ROOT

GOOD: dict[str, dict[str, Any]] = {
    "open": {
        "lease": "lease-7f3k2mqp",
        "login": "bg-7f3k2mqp",
        "hard_end": time.time() + 3600,
        "minors": [0, 1],
        "node_devices": [[0, 0], [1, 0], [2, 1], [3, -1]],
        "parts": [],
    },
    "reshape": {
        "lease": "lease-7f3k2mqp",
        "login": "bg-7f3k2mqp",
        "minors": [1],
        "node_devices": [[0, 0], [1, 0], [2, 1], [3, -1]],
        "parts": [],
    },
    "extend": {"login": "bg-7f3k2mqp", "hard_end": time.time() + 3600},
    "close": {"login": "bg-7f3k2mqp"},
    "clean": {"login": "bg-7f3k2mqp"},
    "trust": {"key": "ssh-ed25519 " + "A" * 68},
    "refuse": {"serials": [1, 2**64 - 1]},
    "partition": {
        "uuid": "GPU-8f2c0d4e-1a2b-3c4d-5e6f-0123456789ab",
        "layout": [["1g.10gb", 0], ["1g.10gb+me", 1], ["1g.5gb+me.all", 2], ["1g.24gb+gfx", 3], ["1g.24gb-me", 4]],
    },
    "device": {"uuid": "GPU-8f2c0d4e-1a2b-3c4d-5e6f-0123456789ab", "change": ["power_limit", 450.5]},
}
LOGINS = ["root", "bg-", "bg-A", "../bg-a", "bg-a/../..", "bg-a b", "bg-a\n", "bg-a\0", "bg-é", "bg-a:0:0", "-bg-a"]
LOGINS += ["bg-" + "a" * 30, "", "bg-a-", "BG-a", "bg-a;id", "bg-$(id)", "bg-..", "bg-%u", "bg-ａ"]
HOSTILE: list[tuple[str, str, Any]] = [
    *(("close", "login", each) for each in [*LOGINS, None, 7, ["bg-a"], {"a": 1}, True]),
    *(("reshape", "login", each) for each in [*LOGINS, None, 7]),
    *(("reshape", "minors", each) for each in [[-1], [255], ["0"], [True], [0, 0], [0.0], "0", [[0]], list(range(99))]),
    *(("open", "lease", each) for each in ["../x", "a b", "a:b", "a\nb", "", "x" * 41, "-x", 1]),
    *(("open", "hard_end", each) for each in [0, -1, 1e300, float("inf"), float("nan"), "9", True, 1e9]),
    *(("open", "minors", each) for each in [[-1], [255], ["0"], [True], [0, 0], [0.0], "0", [[0]], list(range(99))]),
    *(("open", "node_devices", each) for each in [[[0]], [[0, -2]], [[0, 0], [0, 1]], [["0", 0]], [0], {"0": 0}]),
    *(("open", "parts", each) for each in [[0], [[0, 1]], [[0, 1, -1]], [[0, "1", 0]], [[255, 1, 0]], [[0, True, 0]]]),
    ("open", "parts", [[0, 1, 0], [0, 1, 1]]),
    *(("partition", "layout", each) for each in [None, [0], [["1g.10gb"]], [["1g.10gb", -1]], [["1g.10gb", 33]], {}]),
    *(
        ("partition", "layout", [[each, 0]])
        for each in ["", "0g.10gb", "1g.10gb ", "1g.10gb+", "../1g", 1, "1g.10gb+me;"]
    ),
    ("partition", "layout", [["1g.10gb", 0]] * 33),
    *(("refuse", "serials", each) for each in [[0], [2**64], ["1"], [1, 1], ["id: *"], [1.5], list(range(1, 9_000))]),
    *(("trust", "key", each) for each in ["ssh-ed25519 AAAA", "ssh-rsa " + "A" * 68, "x\nssh-ed25519 " + "A" * 68]),
    ("trust", "key", "ssh-ed25519 " + "A" * 68 + ' x\ncommand="id" ssh-ed25519 ' + "A" * 68),
    *(
        ("device", "uuid", each)
        for each in [0, None, "", "GPU-1", "MIG-8f2c0d4e-1a2b-3c4d-5e6f-0123456789ab", "../gpu"]
    ),
    *(("device", "uuid", f"GPU-8f2c0d4e-1a2b-3c4d-5e6f-0123456789a{end}") for end in ("", "B", "g", "b0", "b\n")),
    *(("device", "change", each) for each in [None, [], ["power_limit"], ["power_limit", 1, 2], {"power_limit": 1}]),
    *(("device", "change", ["power_limit", each]) for each in [0, -1, 10_001, float("nan"), float("inf"), "700", True]),
    *(
        ("device", "change", ["compute_mode", each])
        for each in [None, 0, "", "DEFAULT", "exclusive_thread", ["default"]]
    ),
    *(("device", "change", ["persistence_mode", each]) for each in [None, 1, 0, "on"]),
    *(("device", "change", ["locked_clocks", each]) for each in [0, [210, 1980], False]),
    *(("device", "change", [each, None]) for each in ["ecc_mode", "mig_mode", "__init__", None, 1, ["power_limit"]]),
]
needs_a_node = pytest.mark.xdist_group("linux-node")


@pytest.fixture(scope="module")
def node() -> Iterator[LinuxNode]:
    with linux_node() as made:
        yield made


def packed(verb: Any, arguments: Any, **more: Any) -> bytes:
    """A request as it goes over the socket."""
    return json.dumps({"verb": verb, "arguments": arguments, **more}).encode() + b"\n"


def others(path: str) -> list[str]:
    """The lines of a table of users, but for those of tests that run beside this one."""
    return [line for line in Path(path).read_text().splitlines() if not line.startswith("bg-t")]


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_a_good_request_is_read(verb: str) -> None:
    asked, arguments = read(packed(verb, GOOD[verb]))
    assert asked == verb and set(arguments) == set(GOOD[verb])


@pytest.mark.parametrize(("verb", "name", "value"), HOSTILE, ids=lambda each: ascii(each)[:30])
def test_a_hostile_argument_is_refused(verb: str, name: str, value: Any) -> None:
    with pytest.raises(Refused, match="bad_request"):
        read(packed(verb, {**GOOD[verb], name: value}))


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"\n", b"\xff\xfe", b"null", b"[]", b'"open"', b"{}", b'{"verb": "close"}', b"[" * 50_000),
        *(packed(verb, {}) for verb in ("__init__", "_open", "perform", "overdue", "open ", "", None, 1, ["close"])),
        packed("close", {"login": "bg-a", "force": True}),
        packed("close", {}),
        packed("close", None),
        packed("close", {"login": "bg-a"}, user="root"),
        b'{"verb": "close", "arguments": {"login": "bg-a", "login": "bg-b"}}',
        packed("close", {"login": "bg-a"}) + packed("clean", {"login": "bg-a"}),
        b" " * (MAX_BYTES + 1),
    ],
    ids=lambda raw: ascii(raw)[:30],
)
def test_what_is_no_request_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused, match="bad_request"):
        read(raw)


@needs_a_node
def test_users_that_are_not_ours_are_never_touched(node: LinuxNode) -> None:
    before = others("/etc/shadow")
    for verb in ("close", "clean"):
        node.root.ask(verb, login="bg-nobody-of-ours")
    with pytest.raises(HostError, match="unknown_login"):
        node.root.ask("extend", login="bg-nobody-of-ours", hard_end=time.time() + 60)
    for login in ("root", "daemon", pwd.getpwuid(os.getuid()).pw_name):
        with pytest.raises(HostError, match="bad_request"):
            node.root.ask("close", login=login)
    assert others("/etc/shadow") == before


@needs_a_node
def test_only_the_agent_may_ask(node: LinuxNode) -> None:
    user, door = node.open("asks"), node.folder / "run/root.sock"
    asking = (
        "use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die $!;"
        'print $s qq({"verb": "close", "arguments": {"login": "bg-a"}}\\n); print <$s>'
    )
    command = ("perl", "-e", asking, str(door))
    kept_out = node.run("asks", *command, stderr=subprocess.PIPE)
    assert b"Permission denied" in kept_out.communicate()[1]
    door.chmod(0o666)
    try:
        said, _ = node.run("asks", *command, stdout=subprocess.PIPE).communicate()
    finally:
        door.chmod(0o660)
    assert json.loads(said) == {"error": "not_you"}
    last = json.loads((node.folder / "log/root.jsonl").read_text().splitlines()[-1])
    assert (last["stage"], last["code"], last["peer_uid"]) == ("refused", "not_you", user.pw_uid)


@needs_a_node
def test_every_question_is_written_down_with_who_and_what(node: LinuxNode) -> None:
    path = node.folder / "log/root.jsonl"
    node.root.ask("close", login="bg-written")
    with pytest.raises(HostError, match="unknown_login"):
        node.root.ask("extend", login="bg-written", hard_end=time.time() + 60)
    with pytest.raises(HostError, match="bad_request"):
        node.root.ask("close", login="../../etc/passwd\n{}")
    lines = [json.loads(line) for line in path.read_text().splitlines()][-5:]
    assert [(line["stage"], line.get("verb")) for line in lines] == [
        *(("asked", "close"), ("done", "close"), ("asked", "extend"), ("refused", None), ("refused", None)),
    ]
    assert {(line["peer_pid"], line["peer_uid"]) for line in lines} == {(os.getpid(), os.getuid())}
    assert lines[0]["arguments"] == {"login": "bg-written"} and lines[1]["answer"]["remaining"] == []
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o750)


@needs_a_node
def test_nothing_is_done_that_cannot_be_written_down(node: LinuxNode) -> None:
    path = node.folder / "log/root.jsonl"
    kept = path.rename(path.with_suffix(".kept"))
    path.symlink_to("/etc/passwd")
    before = others("/etc/passwd")
    try:
        with pytest.raises(HostError, match="root_part_failed"):
            node.root.ask("open", **node.opening("unwritten", minors=(1,)))
    finally:
        path.unlink()
        kept.rename(path)
    assert others("/etc/passwd") == before
    assert node.login("unwritten") not in (node.folder / "state/ledger.json").read_text()


@needs_a_node
def test_what_nobody_foresaw_is_written_down_and_answered(node: LinuxNode) -> None:
    ledger = node.folder / "state/ledger.json"
    kept = ledger.read_text() if ledger.exists() else None
    ledger.write_text("[]")
    try:
        with pytest.raises(HostError, match="root_part_failed"):
            node.root.ask("close", login="bg-a")
    finally:
        ledger.unlink() if kept is None else ledger.write_text(kept)
    last = json.loads((node.folder / "log/root.jsonl").read_text().splitlines()[-1])
    assert last["stage"] == "failed" and "TypeError" in last["why"]


@needs_a_node
def test_a_silent_client_and_a_long_one_hold_up_nobody(node: LinuxNode) -> None:
    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as long:
        for client in (silent, long):
            client.connect(str(node.folder / "run/root.sock"))
        long.sendall(b"x" * (MAX_BYTES + 1))
        assert json.loads(long.recv(1000)) == {"error": "bad_request"}
        assert node.root.ask("close", login="bg-quick")["remaining"] == []


def test_an_absent_root_part_is_an_error_of_the_host(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="root_part_away"):
        RootPart(tmp_path / "nobody.sock").ask("close", login="bg-a")


def test_the_root_part_needs_nothing_but_the_standard_library() -> None:
    script = "import sys, agent.privileged.__main__; print('\\n'.join(sorted(sys.modules)))"
    words = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {script}"]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    ours = [name for name in ran.stdout.split() if re.match(r"(agent|celery|httpx|asyncssh|pynvml)\b", name)]
    assert ours and all(name == "agent" or name.startswith("agent.privileged") for name in ours)
