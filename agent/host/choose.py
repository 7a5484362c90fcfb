"""Which of the two hosts this agent has: the machine itself, or a sandbox."""

from __future__ import annotations

from agent.host.base import DoorKeeper, Host
from agent.host.linux import LinuxHost, SshdKeeper
from agent.host.root_part import RootPart
from agent.host.sandbox import SandboxHost
from agent.host.ssh_door import SshDoor
from agent.journal import Journal
from agent.options import AgentOptions


def make_host(options: AgentOptions, journal: Journal) -> Host:
    """The host that the options name."""
    if options.sandbox is not None:
        return SandboxHost(options.sandbox, journal)
    return LinuxHost(journal, RootPart(options.root_socket), options.ssh_address, options.ssh_host_key)


def make_door(options: AgentOptions, journal: Journal, host: Host) -> DoorKeeper:
    """The watch over the door of this host."""
    if isinstance(host, SandboxHost):
        return SshDoor(journal, host)
    return SshdKeeper(journal, host, RootPart(options.root_socket))
