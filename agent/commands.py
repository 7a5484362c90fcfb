"""Signed commands: taken apart, checked, never trusted before."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.device_records import Layout, is_mig
from agent.trust import COMMAND, fits

VERBS = ("verify", "grant", "extend", "revoke", "reclaim", "partition", "reshape")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_PROFILE = re.compile(r"[1-9]g\.[1-9][0-9]{0,3}gb(?:[+-][a-z.]{2,10})?")
MOST_INSTANCES = 32
_LOGIN = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


class CommandRefused(Exception):
    """The envelope is not a command from our portal for us; nothing in it may be believed."""


@dataclass(frozen=True)
class Command:
    """A command whose signature was good. Times are epoch seconds. `layout`: of `partition` alone, with one device;
    `leaving`: of `reshape` alone, the devices that the lease gives up on this node.
    """

    id: str
    node: str
    verb: str
    lease: str
    generation: int
    deadline_at: float
    device_uuids: tuple[str, ...]
    login: str
    hard_end: float
    layout: Layout = ()
    leaving: tuple[str, ...] = ()


def open_envelope(envelope: dict[str, Any], signing_key: str | None) -> Command:
    """The command inside, after its signature was checked over its very bytes. CommandRefused otherwise."""
    if signing_key is None:
        raise CommandRefused("no signing key is pinned yet")
    text = str(envelope.get("command"))
    if not fits(signing_key, COMMAND, text, str(envelope.get("signature"))):
        raise CommandRefused("bad signature")
    try:
        return _command(json.loads(text))
    except (KeyError, TypeError, ValueError) as error:
        raise CommandRefused(f"bad shape ({error})") from error


def _command(body: dict[str, Any]) -> Command:
    payload = body["payload"]
    command = Command(
        id=body["id"],
        node=body["node"],
        verb=body["verb"],
        lease=body["lease"],
        generation=int(body["generation"]),
        deadline_at=datetime.fromisoformat(body["deadline_at"]).timestamp(),
        device_uuids=tuple(str(uuid) for uuid in payload["device_uuids"]),
        login=payload["login"],
        hard_end=datetime.fromisoformat(payload["hard_end"]).timestamp(),
        layout=_layout(payload.get("layout", [])),
        leaving=tuple(str(uuid) for uuid in payload.get("leaving", [])),
    )
    # These become file names and words of a process's environment.
    for word, pattern in ((command.id, _NAME), (command.lease, _NAME), (command.login, _LOGIN)):
        if not pattern.fullmatch(word):
            raise ValueError(f"not a name: {word!r}")
    if command.verb not in VERBS:
        raise ValueError(f"not a verb: {command.verb!r}")
    if command.verb == "partition" and (len(command.device_uuids) != 1 or is_mig(command.device_uuids[0])):
        raise ValueError("a layout is of one whole device")
    if command.verb == "reshape" and (not command.device_uuids or set(command.device_uuids) & set(command.leaving)):
        raise ValueError("a lease keeps a device at least, and none that it gives up")
    return command


def _layout(said: list[Any]) -> Layout:
    layout = tuple((str(name), int(start)) for name, start in said)
    if len(layout) > MOST_INSTANCES or not all(_PROFILE.fullmatch(name) for name, _ in layout):
        raise ValueError("not a MIG layout")
    return layout
