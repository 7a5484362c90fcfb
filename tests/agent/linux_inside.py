"""Runs inside the booted machine of test_linux_systemd.py, on the system's own Python: one line of JSON an answer."""

from __future__ import annotations

import json
import pwd
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, "/opt/bitgoeul")

from agent.host.base import HostError
from agent.host.root_part import RootPart

FOLDER = Path("/var/lib/bitgoeul-test")
ROOT = RootPart(Path("/run/bitgoeul/root.sock"))
PORT = "2299"
LOOK = "tail -1 /proc/self/cgroup; for n in 0 1; do (exec 3</dev/nvidia$n) && echo opens $n; done 2>&1"
STUBBORN = "trap '' TERM HUP; echo up; while :; do sleep 600; done"


def say(name: str, value: object) -> None:
    """An answer for the test outside."""
    print(json.dumps({"name": name, "value": value}), flush=True)


def run(*words: str) -> str:
    """A command that must work; what it said."""
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def ask(verb: str, **arguments: object) -> object:
    """Ask the root part; its code where it refused."""
    try:
        return ROOT.ask(verb, **arguments)
    except HostError as error:
        return error.code


def opening(login: str, minor: int) -> dict[str, object]:
    """Arguments of `open` for one device of two."""
    said = {"lease": f"L-{login}", "login": login, "hard_end": time.time() + 600, "minors": [minor]}
    return {**said, "node_devices": [[0, -1], [1, -1]], "parts": []}


def make_key(name: str) -> str:
    """A key at FOLDER/name; its public line."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(FOLDER / name))
    return " ".join((FOLDER / f"{name}.pub").read_text().split()[:2])


def start_sshd() -> None:
    """The machine's own configuration with the snippet, on another port."""
    for name in ("hostkey", "ca", "id"):
        make_key(name)
    lines = [f"ListenAddress 127.0.0.1:{PORT}", f"HostKey {FOLDER}/hostkey", "UsePAM yes"]
    (FOLDER / "sshd_config").write_text("\n".join([*lines, "Include /etc/ssh/sshd_config.d/60-bitgoeul.conf\n"]))
    Path("/run/sshd").mkdir(exist_ok=True)
    unit = f"[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/usr/sbin/sshd -D -e -f {FOLDER}/sshd_config\n"
    Path("/run/systemd/system/door.service").write_text(f"{unit}StandardError=file:/answers/sshd\n")
    run("systemctl", "daemon-reload")
    run("ip", "link", "set", "lo", "up")
    run("systemctl", "start", "dbus.service", "systemd-logind.service", "door.service")
    while "listening" not in Path("/answers/sshd").read_text():
        time.sleep(0.05)


def ssh(login: str, command: str) -> subprocess.Popen[str]:
    """OpenSSH's client with a certificate for both logins."""
    words = ["ssh", "-F", "none", "-i", str(FOLDER / "id"), "-p", PORT, "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]
    words += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", f"{login}@127.0.0.1", command]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def main() -> None:
    """Install, open two leases, look from inside of each, close and clean one."""
    FOLDER.mkdir()
    run("systemd-sysusers")
    run("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/bitgoeul.conf")
    start_sshd()
    run("systemctl", "start", "bitgoeul-root.socket")
    ca = " ".join((FOLDER / "ca.pub").read_text().split()[:2])
    say("trust", ask("trust", key=ca))
    for minor, login in enumerate(("bg-one", "bg-two")):
        say(f"open {login}", ask("open", **opening(login, minor)))
    words = ["ssh-keygen", "-q", "-s", str(FOLDER / "ca"), "-I", "x", "-z", "5", "-n", "bg-one,bg-two"]
    run(*words, "-V", "-5m:+10m", str(FOLDER / "id.pub"))
    for login in ("bg-one", "bg-two"):
        say(f"look {login}", ssh(login, LOOK).communicate()[0].splitlines())
    properties = [word for name in ("DevicePolicy", "DeviceAllow", "TasksMax") for word in ("-p", name)]
    uid = pwd.getpwnam("bg-one").pw_uid
    say("slice", sorted(run("systemctl", "show", f"user-{uid}.slice", *properties).splitlines()))
    for number in (0, 1000):
        say(f"policy of {number}", run("systemctl", "show", f"user-{number}.slice", "-p", "DevicePolicy").strip())
    session = ssh("bg-one", f'setsid bash -c "{STUBBORN}"')
    assert session.stdout is not None
    say("session", session.stdout.readline().strip())
    say("close", ask("close", login="bg-one"))
    session.wait(30)
    say("shut", ssh("bg-one", "true").wait())
    say("neighbour", ssh("bg-two", "echo in").communicate()[0].strip())
    say("clean", ask("clean", login="bg-one"))
    left = [entry.pw_name for entry in pwd.getpwall() if entry.pw_name.startswith("bg-")]
    say("left", [left, sorted(path.name for path in Path("/etc/systemd/system").glob("user-2*"))])
    say("overdue", run("systemctl", "start", "bitgoeul-overdue.service"))
    say("end", "of it")


main()
