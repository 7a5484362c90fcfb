"""Is every requirement of the .in files satisfied by the lock, with hashes? Asks no network."""

import re
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PAIRS = tuple((f"{name}.in", f"{name}.txt") for name in ("requirements", "requirements-dev", "requirements-agent"))
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(\[[^\]]*\])?==(?P<version>[^\s;\\]+)")


def locked(text: str) -> dict[str, tuple[str, int]]:
    """{canonical name: (version, number of hashes)} of a lock file."""
    found: dict[str, tuple[str, int]] = {}
    for entry in re.split(r"\n(?=\S)", text):
        match = PINNED.match(entry)
        if match:
            found[canonicalize_name(match["name"])] = (match["version"], entry.count("--hash=sha256:"))
    return found


def wanted(text: str) -> list[Requirement]:
    """The requirements of an .in file."""
    lines = (line.split("#", 1)[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def faults(wanted_text: str, locked_text: str) -> list[str]:
    """What is missing, too old or without a hash; [] when the lock is fresh."""
    pins = locked(locked_text)
    problems = [f"{name}=={version} has no hash" for name, (version, hashes) in pins.items() if hashes == 0]
    for requirement in wanted(wanted_text):
        pin = pins.get(canonicalize_name(requirement.name))
        if pin is None:
            problems.append(f"{requirement} is not locked")
        elif not requirement.specifier.contains(pin[0], prereleases=True):
            problems.append(f"{requirement} is locked at {pin[0]}")
    return problems


def disagreements(production: str, other: str, called: str) -> list[str]:
    """Packages that a lock pins differently from production's: they are installed together, or tested as one."""
    left, right = locked(production), locked(other)
    return [
        f"{name}: requirements.txt has {left[name][0]}, {called} has {right[name][0]}"
        for name in sorted(left.keys() & right.keys())
        if left[name][0] != right[name][0]
    ]


def main() -> int:
    """Exit 1 and one line for each fault."""
    root = Path(__file__).resolve().parents[1]
    problems = [
        f"{lock}: {fault}"
        for source, lock in PAIRS
        for fault in faults((root / source).read_text(), (root / lock).read_text())
    ]
    production, *others = (lock for _source, lock in PAIRS)
    for other in others:
        problems += disagreements((root / production).read_text(), (root / other).read_text(), other)
    for problem in problems:
        print(f"{problem} (make lock)", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
