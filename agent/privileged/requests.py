"""What may be asked of root, and in exactly which shape. Everything else is refused before anything looks at it."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable
from typing import Any

from agent.privileged.places import Refused

MAX_BYTES = 65_536
MAX_DEVICES, MAX_SERIALS, MAX_PARTS = 64, 4_096, 512
MOST_SLICES = 32
MAX_WATTS = 10_000
LONGEST_LEASE_SECONDS = 5 * 366 * 86_400
LOGIN = re.compile(r"bg-[a-z0-9](?:[a-z0-9-]{0,26}[a-z0-9])?", re.ASCII)
LEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", re.ASCII)
UUID = re.compile(r"GPU-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
MIG_PROFILE = re.compile(r"[1-9]g\.[1-9][0-9]{0,3}gb(?:[+-][a-z]{2,4}(?:\.[a-z]{2,4})?){0,2}", re.ASCII)
PUBLIC_KEY = re.compile(r"ssh-ed25519 [A-Za-z0-9+/]{68}(?: [A-Za-z0-9@._-]{1,64})?", re.ASCII)

Check = Callable[[Any], Any]


def _text(pattern: re.Pattern[str]) -> Check:
    def check(value: Any) -> str:
        if type(value) is not str or not pattern.fullmatch(value):
            raise ValueError("not in the form of it")
        return value

    return check


def _number(value: Any, first: int, last: int) -> int:
    if type(value) is not int or not first <= value <= last:  # True is no number here
        raise ValueError(f"no whole number from {first} to {last}")
    return value


def _numbers(first: int, last: int, most: int) -> Check:
    def check(value: Any) -> tuple[int, ...]:
        if type(value) is not list or len(value) > most or len(set(map(str, value))) != len(value):
            raise ValueError(f"no list of at most {most} different numbers")
        return tuple(_number(each, first, last) for each in value)

    return check


def _moment(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError("no moment")
    if not 0 < value - time.time() < LONGEST_LEASE_SECONDS:
        raise ValueError("not in a lease's future")
    return float(value)


def _devices(value: Any) -> tuple[tuple[int, int], ...]:
    """[[minor, NUMA node or -1], ...]"""
    if type(value) is not list or len(value) > MAX_DEVICES:
        raise ValueError(f"no list of at most {MAX_DEVICES} devices")
    found = []
    for pair in value:
        if type(pair) is not list or len(pair) != 2:
            raise ValueError("no pair of minor number and NUMA node")
        found.append((_number(pair[0], 0, 254), _number(pair[1], -1, 1023)))
    if len({minor for minor, _ in found}) != len(found):
        raise ValueError("a minor number twice")
    return tuple(found)


def _parts(value: Any) -> tuple[tuple[int, int, int], ...]:
    """[[minor, GPU instance, compute instance], ...]"""
    if type(value) is not list or len(value) > MAX_PARTS:
        raise ValueError(f"no list of at most {MAX_PARTS} MIG instances")
    if not all(type(each) is list and len(each) == 3 for each in value):
        raise ValueError("not three numbers: minor, GPU instance, compute instance")
    found = tuple((_number(a, 0, 254), _number(b, 0, 255), _number(c, 0, 255)) for a, b, c in value)
    if len({part[:2] for part in found}) != len(found):
        raise ValueError("a GPU instance twice")
    return found


def _layout(value: Any) -> tuple[tuple[str, int], ...]:
    """[[MIG profile, first memory slice], ...]; empty: whole."""
    if type(value) is not list or len(value) > MOST_SLICES:
        raise ValueError(f"no list of at most {MOST_SLICES} instances")
    if not all(type(each) is list and len(each) == 2 for each in value):
        raise ValueError("no pair of a profile and its place")
    return tuple((_PROFILE(name), _number(start, 0, MOST_SLICES)) for name, start in value)


def _change(value: Any) -> tuple[str, Any]:
    """[setting, value], in the one form that the setting has."""
    if type(value) is not list or len(value) != 2 or type(value[0]) is not str:
        raise ValueError("no pair of a setting and its value")
    setting, wanted = value
    if setting not in SETTINGS or not SETTINGS[setting](wanted):
        raise ValueError("no such setting, or none of its values")
    return setting, wanted


def _is_limit(value: Any) -> bool:
    """Watts; the device's own range, which is narrower, is looked at where the device is asked."""
    return value is None or (type(value) in (int, float) and math.isfinite(value) and 0 < value <= MAX_WATTS)


SETTINGS: dict[str, Callable[[Any], bool]] = {
    "persistence_mode": lambda value: type(value) is bool,
    "compute_mode": lambda value: type(value) is str and value in ("default", "exclusive_process", "prohibited"),
    "power_limit": _is_limit,
    "locked_clocks": lambda value: value is None,
}
_LOGIN, _LEASE, _UUID, _PROFILE = _text(LOGIN), _text(LEASE), _text(UUID), _text(MIG_PROFILE)
VERBS: dict[str, dict[str, Check]] = {
    "open": {
        "lease": _LEASE,
        "login": _LOGIN,
        "hard_end": _moment,
        "minors": _numbers(0, 254, MAX_DEVICES),
        "node_devices": _devices,
        "parts": _parts,
    },
    "reshape": {
        "lease": _LEASE,
        "login": _LOGIN,
        "minors": _numbers(0, 254, MAX_DEVICES),
        "node_devices": _devices,
        "parts": _parts,
    },
    "extend": {"login": _LOGIN, "hard_end": _moment},
    "close": {"login": _LOGIN},
    "clean": {"login": _LOGIN},
    "trust": {"key": _text(PUBLIC_KEY)},
    "refuse": {"serials": _numbers(1, 2**64 - 1, MAX_SERIALS)},
    "device": {"uuid": _UUID, "change": _change},
    "partition": {"uuid": _UUID, "layout": _layout},
}


def read(raw: bytes) -> tuple[str, dict[str, Any]]:
    """The verb and its checked arguments. Refused where a word is missing, too many or not in its form."""
    if len(raw) > MAX_BYTES:
        raise Refused("bad_request", "too long")
    try:
        said = json.loads(raw.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Refused("bad_request", f"no JSON: {error}") from error
    if type(said) is not dict or set(said) != {"verb", "arguments"} or type(said["arguments"]) is not dict:
        raise Refused("bad_request", "not {verb, arguments}")
    shape = VERBS.get(said["verb"]) if type(said["verb"]) is str else None
    if shape is None:
        raise Refused("bad_request", "no such verb")
    if set(said["arguments"]) != set(shape):
        raise Refused("bad_request", f"{said['verb']} takes exactly {sorted(shape)}")
    checked = {}
    for name, check in shape.items():
        try:
            checked[name] = check(said["arguments"][name])
        except ValueError as error:
            raise Refused("bad_request", f"{name}: {error}") from error
    return said["verb"], checked


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A name that stands twice would be read one way here and another way in a log."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name twice")
    return dict(pairs)
