"""The dead-man timer: access ends at its hard end by this node's own clock, whether a portal is there or not."""

from __future__ import annotations

import logging
import threading
import time

from agent.executor import Executor
from agent.journal import Journal, LocalLease
from agent.portal_client import PortalClient, PortalError
from agent.verbs import Answer

log = logging.getLogger(__name__)
TICK_SECONDS = 0.5
LISTEN_SECONDS, TELL_SECONDS = 1.0, 5.0  # between looks; after the portal was away


class DeadMan:
    """A thread over the hard ends in the journal; the portal is told by another, so that it can delay nothing."""

    def __init__(self, journal: Journal, executor: Executor, portal: PortalClient) -> None:
        self._journal = journal
        self._executor = executor
        self._portal = portal
        self._ending: dict[str, threading.Thread] = {}

    def watch(self, stop: threading.Event) -> None:
        """End what is over, until stopped."""
        while not stop.is_set():
            try:
                self.end_overdue()
            except Exception:
                log.exception("the dead-man timer stumbled and goes on")
            stop.wait(TICK_SECONDS)

    def tell(self, stop: threading.Event) -> None:
        """Report what was ended, and answers that did not get through, until stopped."""
        while not stop.wait(LISTEN_SECONDS):
            try:
                if not (self.report() and self._executor.tell_again()):
                    stop.wait(TELL_SECONDS)
            except Exception:
                log.exception("telling the portal failed")
                stop.wait(TELL_SECONDS)

    def end_overdue(self) -> None:
        """Revoke every lease whose hard end has passed, each in its own thread: a stubborn one holds up no other."""
        self._ending = {name: thread for name, thread in self._ending.items() if thread.is_alive()}
        for lease in self._journal.open_leases():
            if _is_over(lease) and lease.lease not in self._ending:
                thread = threading.Thread(target=self._try_to_end, args=(lease.lease,), daemon=True)
                self._ending[lease.lease] = thread
                thread.start()

    def _try_to_end(self, name: str) -> None:
        try:
            self._end(name)
        except Exception:
            log.exception("ending %s stumbled; it is tried again", name)

    def _end(self, name: str) -> None:
        with self._executor.locked(name):
            lease = self._journal.lease(name)  # it may have been extended or revoked while we waited for the lock
            if lease is None or not _is_over(lease) or lease.phase == "revoked":
                return
            log.warning("the hard end of %s has passed: ending access", name)
            answer = self._executor.verbs.end_access(lease, told=False)
            if isinstance(answer, Answer):
                log.error("%s: processes remain: %s", name, answer.result["remaining"])

    def report(self) -> bool:
        """Tell the portal of every lease that ended without it; False where it is away."""
        for lease in self._journal.ended_leases(since=None):
            body = {"kind": "revoked", "lease": lease.lease, "generation": lease.generation, "at": lease.ended_at}
            try:
                self._portal.report({**body, "killed": lease.killed, "remaining": []})
            except PortalError as error:
                if not error.final:
                    return False
                log.warning("the portal does not take the report on %s: %s", lease.lease, error)
            self._journal.change_lease(lease.lease, told=1)
        return True


def _is_over(lease: LocalLease) -> bool:
    return lease.hard_end is not None and lease.hard_end <= time.time()
