"""Which of the portal's keys a node believes, and that what was signed for something else is no command."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.commands import CommandRefused
from agent.portal_client import PortalClient
from agent.pulse import Pulse
from common.signatures import Purpose, sign
from tests.agent.envelopes import body, public, seal
from tests.agent.test_executor import NOBODY, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("purpose", [each for each in Purpose if each is not Purpose.COMMAND])
def test_what_the_portal_signed_for_something_else_is_no_command(bench: Bench, purpose: Purpose) -> None:
    with pytest.raises(CommandRefused, match="bad signature"):
        bench.executor.run(seal(bench.key, body("grant"), purpose))
    assert bench.executor.run(seal(bench.key, body("grant"))).outcome == "done"


class Rotation:
    """A portal with three keys one after the other, and the node's pulse that hears of them."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.keys = [bench.key, Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()]
        self.pulse = Pulse(bench.journal, bench.host, PortalClient(NOBODY, bench.folder / "token"), bench.executor, 5.0)

    def steps(self, *numbers: int) -> list[dict[str, str]]:
        """How the portal leads from these keys, newest first, each to the one after it."""
        said = []
        for number in numbers:
            key, after = self.keys[number], public(self.keys[number + 1])
            value = sign(key.private_bytes_raw(), Purpose.SUCCESSION, after)
            said.append({"key": public(key), "signature": value})
        return said

    def hear(self, key: Ed25519PrivateKey, steps: list[dict[str, str]]) -> int | None:
        """The number of the key that is pinned after an answer of the portal."""
        self.pulse._follow(public(key), steps)
        return [public(each) for each in self.keys].index(str(self.bench.journal.fact("signing_key")))

    def kinds(self) -> list[str]:
        """What has been told the portal of it."""
        return [event["kind"] for _id, event in self.bench.journal.events(10)]


def test_a_key_for_which_the_pinned_one_vouches_takes_its_place(bench: Bench) -> None:
    rotation = Rotation(bench)
    assert rotation.hear(rotation.keys[2], rotation.steps(1, 0)) == 2, "a node that was away for two changes"
    assert rotation.kinds() == ["signing_key_followed"]
    assert bench.executor.run(seal(rotation.keys[2], body("grant"))).outcome == "done"
    with pytest.raises(CommandRefused):
        bench.executor.run(seal(bench.key, body("grant", id="CMD-2")))


def test_no_other_key_takes_the_place_of_the_pinned_one(bench: Bench) -> None:
    rotation = Rotation(bench)
    newest, stranger = rotation.keys[2], Ed25519PrivateKey.generate()
    forged = [{"key": public(bench.key), "signature": rotation.steps(1)[0]["signature"]}]
    as_command = seal(bench.key, {}, Purpose.COMMAND)["signature"]
    for key, steps in (
        (newest, []),
        (newest, rotation.steps(1)),
        (newest, rotation.steps(0)),
        (stranger, rotation.steps(1, 0)),
        (newest, forged),
        (newest, [{"key": public(bench.key), "signature": as_command}]),
        (newest, [{"key": "é", "signature": "!"}]),
    ):
        assert rotation.hear(key, steps) == 0
    assert set(rotation.kinds()) == {"signing_key_changed"}
