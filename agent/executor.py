"""Runs a command exactly once: checks it, locks its lease, does it, keeps the answer, tells the portal.

The worker (nudged by the broker) and the keeper (from the heartbeat) both run commands through this; whoever comes
second finds the answer in the journal.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agent.commands import Command, CommandRefused, open_envelope
from agent.host.base import Host
from agent.journal import CommandRecord, Journal
from agent.portal_client import PortalClient, PortalError
from agent.verbs import Answer, Verbs, failed

log = logging.getLogger(__name__)


class Executor:
    """One for each process."""

    def __init__(self, journal: Journal, host: Host, portal: PortalClient) -> None:
        self._journal = journal
        self._portal = portal
        self.verbs = Verbs(journal, host)

    def run(self, envelope: dict[str, Any]) -> Answer:
        """Run a signed command, or answer from the record. CommandRefused where it is not ours to run."""
        command = open_envelope(envelope, self._journal.fact("signing_key"))
        node = self._journal.fact("node")
        if command.node != node:
            raise CommandRefused(f"for node {command.node}, this is {node}")
        with self.locked(command.lease):
            answer = self._once(command)
        self._tell(command.id, command.generation, answer)
        return answer

    def fetch_and_run(self, command_id: str) -> Answer:
        """Run a command of which only the id is known; PortalError where it cannot be fetched."""
        return self.run(self._portal.command(command_id))

    def _once(self, command: Command) -> Answer:
        record = self._journal.command(command.id)
        if record is not None and record.outcome is not None:
            return Answer(record.outcome, record.result)
        answer = self._refusal(command, begun=record is not None)
        if answer is None:
            self._journal.begin(command.id, command.lease, command.generation, command.verb)
            log.info("%s %s of %s, generation %s", command.id, command.verb, command.lease, command.generation)
            answer = self.verbs.perform(command)
        keep = (answer.outcome, answer.result)
        self._journal.finish(command.id, command.lease, command.generation, command.verb, keep)
        log.info("%s %s: %s %s", command.id, command.verb, answer.outcome, answer.result.get("error", ""))
        return answer

    def _refusal(self, command: Command, *, begun: bool) -> Answer | None:
        """Why a command is not run. One that was begun before a crash is finished even after its deadline."""
        lease = self._journal.lease(command.lease)
        if lease is not None and command.generation < lease.generation:
            return failed("stale_generation", highest=lease.generation)
        if command.deadline_at <= time.time() and not begun:
            return failed("deadline_passed")
        ended = lease is not None and lease.phase == "revoked" and command.generation == lease.generation
        if ended and command.verb in ("grant", "extend", "reshape"):
            return failed("access_has_ended")
        return None

    def _tell(self, command_id: str, generation: int, answer: Answer) -> bool:
        try:
            body = {"generation": generation, "outcome": answer.outcome, "result": answer.result}
            self._portal.result(command_id, body)
        except PortalError as error:
            log.warning("the answer to %s was not taken: %s", command_id, error)
            if not error.final:
                return False
        self._journal.reported(command_id)
        return True

    def tell_again(self) -> bool:
        """Answers that did not get through, once more; False as soon as the portal is found to be away."""
        records: list[CommandRecord] = self._journal.unreported()
        answers = ((each, Answer(each.outcome or "failed", each.result)) for each in records)
        return all(self._tell(each.id, each.generation, answer) for each, answer in answers)

    @contextmanager
    def locked(self, lease: str) -> Iterator[None]:
        """Nobody else on this node works on the lease meanwhile. The kernel frees the lock of a killed process."""
        folder = self._journal.folder / "locks"
        folder.mkdir(exist_ok=True)
        descriptor = os.open(folder / f"{lease}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
