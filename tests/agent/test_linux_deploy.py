"""What is installed on a node: every unit can be read, and names modules, options, users and folders that exist."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent import options
from agent.privileged import __main__ as root_part
from agent.privileged.places import Places
from agent.privileged.requests import VERBS
from tests.agent.linux_node import TOOLS
from tests.simulator.nodes import ROOT

SYSTEMD = ROOT / "deploy/systemd"
UNITS = sorted(path for path in SYSTEMD.iterdir() if path.suffix in (".service", ".socket", ".timer"))
SERVICES = [path for path in UNITS if path.suffix == ".service"]
GUIDE = (ROOT / "docs/operations/nodes.md").read_text()
SNIPPET = ROOT / "deploy/ssh/60-bitgoeul.conf"


def unit(path: Path) -> configparser.ConfigParser:
    """A unit's sections; a name that stands twice keeps the last value."""
    found = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read_string(path.read_text())
    return found


def named(name: str) -> configparser.ConfigParser:
    """A unit by its file's name."""
    return unit(SYSTEMD / name)


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_has_the_sections_of_its_kind(path: Path) -> None:
    sections = unit(path)
    assert path.suffix[1:].capitalize() in sections
    assert sections["Unit"]["Description"] and sections["Unit"]["Documentation"].endswith("/docs/operations/nodes.md")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_systemd_itself_finds_nothing_wrong(tmp_path: Path) -> None:
    for path in UNITS:  # the interpreter that a node has stands elsewhere here
        (tmp_path / path.name).write_text(path.read_text().replace("/opt/bitgoeul/.venv/bin/python", "/bin/true"))
    search = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:/lib/systemd/system"}
    words = ["systemd-analyze", "verify", *(str(tmp_path / path.name) for path in UNITS)]
    said = subprocess.run(words, capture_output=True, text=True, env=search)
    assert "bitgoeul" not in said.stderr, said.stderr


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_what_a_unit_starts_is_there_and_takes_its_options(path: Path) -> None:
    service = unit(path)["Service"]
    program, dash_m, module, *words = shlex.split(service["ExecStart"])
    assert (program, dash_m) == ("/opt/bitgoeul/.venv/bin/python", "-m")
    assert service["WorkingDirectory"] == "/opt/bitgoeul", "where `-m` looks"
    if module == "agent":
        given = options.parse(words)
        assert given.sandbox is None and given.folder == options.STATE and given.root_socket == options.ROOT_SOCKET
    else:
        assert module == "agent.privileged"
        assert root_part.places(root_part.parse(words)) == Places()
    assert subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True).returncode == 0


def test_the_agent_has_no_way_to_root_but_the_socket() -> None:
    service = named("bitgoeul-agent.service")["Service"]
    assert service["User"] == "bitgoeul-agent" and service["NoNewPrivileges"] == "yes"
    assert service["CapabilityBoundingSet"] == "" and service["ProtectSystem"] == "strict"
    assert not list(ROOT.glob("deploy/**/*sudo*"))
    socket = named("bitgoeul-root.socket")["Socket"]
    assert socket["ListenStream"] == str(options.ROOT_SOCKET)
    assert (socket["SocketMode"], socket["SocketGroup"], socket["Accept"]) == ("0660", "bitgoeul-agent", "yes")


def test_users_and_folders_are_those_that_the_units_and_the_code_name() -> None:
    assert re.search(r"^u bitgoeul-agent ", (SYSTEMD / "sysusers.d/bitgoeul.conf").read_text(), re.MULTILINE)
    lines = (SYSTEMD / "tmpfiles.d/bitgoeul.conf").read_text().splitlines()
    made = {line.split()[1]: line.split()[2] for line in lines if line.startswith("d ")}
    usual = Places()
    wanted = {usual.state: "0700", usual.homes: "0711", usual.ssh: "0755", usual.principals: "0755"}
    assert {str(path): mode for path, mode in wanted.items()}.items() <= made.items()
    writable = named("bitgoeul-root@.service")["Service"]["ReadWritePaths"].split()
    for path in (usual.state, usual.homes, usual.ssh, usual.log, usual.units):
        assert any(path.is_relative_to(each.lstrip("-")) for each in writable), path


def test_sshd_takes_the_snippet_for_tenants_and_leaves_others_alone(tmp_path: Path) -> None:
    program = shutil.which("sshd", path=TOOLS)
    if program is None or os.geteuid() != 0:
        pytest.skip("no sshd on this machine, or no root to ask it with")
    key, config, separation = tmp_path / "key", tmp_path / "sshd_config", Path("/run/sshd")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    config.write_text(f"HostKey {key}\nInclude {SNIPPET}\nX11Forwarding yes\n")
    separation.mkdir(exist_ok=True)  # and left: other tests' doors may need it meanwhile

    def settings(user: str) -> dict[str, str]:
        words = [program, "-T", "-f", str(config), "-C", f"user={user},host=h,addr=127.0.0.1"]
        said = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=True).stdout
        return dict(line.partition(" ")[::2] for line in said.splitlines())

    tenant, other = settings("bg-7f3k2mqp"), settings("root")
    assert tenant["trustedusercakeys"] == "/etc/ssh/bitgoeul/ca.pub"
    assert tenant["authorizedprincipalsfile"] == "/etc/ssh/bitgoeul/principals/%u"
    assert tenant["revokedkeys"] == "/etc/ssh/bitgoeul/revoked.krl"
    assert (tenant["authorizedkeysfile"], tenant["passwordauthentication"]) == ("none", "no")
    assert (tenant["disableforwarding"], tenant["permittunnel"], tenant["permituserrc"]) == ("yes", "no", "no")
    assert other["trustedusercakeys"] == "none" and other["revokedkeys"] == "none"
    assert (other["x11forwarding"], other["disableforwarding"]) == ("yes", "no"), "the snippet ends its Match"


def test_the_guide_names_every_verb_and_every_file() -> None:
    for verb in VERBS:
        assert f"| `{verb}` |" in GUIDE, verb
    for path in (*UNITS, *ROOT.glob("deploy/systemd/*.d/*"), SNIPPET, *ROOT.glob("deploy/udev/*")):
        assert path.name in GUIDE, path.name
