"""Questions that may never be answered, asked where a silence hurts nobody: each subject has a thread of its own.

A driver's call that hangs cannot be cancelled. Its thread is left behind with it; the asker goes on after its patience,
and further questions about the same subject are answered `Stalled` at once until the thread has come back.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Stall:
    """A subject that does not answer: for how many seconds, and the thread (its ident) that waits for it."""

    subject: str
    seconds: float
    thread: int


class Stalled(Exception):
    """The answer did not come in time."""

    def __init__(self, stall: Stall) -> None:
        super().__init__(f"{stall.subject}: no answer for {stall.seconds:.1f} s")
        self.stall = stall


class _Question:
    """One question, until somebody has answered it or nobody wants to know any more."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self.ask = ask
        self.given_up = False
        self.answered = threading.Event()
        self.value: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Ask, in the lane's thread."""
        try:
            self.value = self.ask()
        except BaseException as error:
            self.error = error
        self.answered.set()


class _Lane:
    """One subject's daemon thread: it must not keep a process from ending."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.busy_since: float | None = None
        self._questions: queue.SimpleQueue[_Question] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"asks {subject}", daemon=True)
        self._thread.start()

    def put(self, ask: Callable[[], Any]) -> _Question:
        question = _Question(ask)
        self._questions.put(question)
        return question

    def stall(self) -> Stall:
        since = self.busy_since
        return Stall(self.subject, 0.0 if since is None else time.monotonic() - since, self._thread.ident or 0)

    def _run(self) -> None:
        while True:
            question = self._questions.get()
            if question.given_up:
                continue
            self.busy_since = time.monotonic()
            question.run()
            self.busy_since = None


class Watchdog:
    """Lanes by subject, made when first needed. Safe from several threads; empty again after a fork."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Know no lane; for a child process, which has none of its parent's threads."""
        self._lock = threading.Lock()
        self._lanes: dict[str, _Lane] = {}
        self._stalled: set[str] = set()

    def ask(self, questions: Mapping[str, Callable[[], Any]], patience_seconds: float) -> dict[str, Any]:
        """Ask all at once; {subject: its answer, or the exception (Stalled among them) in its place}."""
        asked = {}
        for subject, ask in questions.items():
            lane = self._lane(subject)
            stall = lane.stall()
            asked[subject] = (lane, None if stall.seconds > patience_seconds else lane.put(ask))
        until = time.monotonic() + patience_seconds
        return {subject: self._answer(lane, question, until) for subject, (lane, question) in asked.items()}

    def stalls(self) -> list[Stall]:
        """The subjects whose last question went unanswered and that are still silent."""
        with self._lock:
            lanes = [self._lanes[subject] for subject in sorted(self._stalled)]
        return [stall for lane in lanes if (stall := lane.stall()).seconds > 0]

    def _lane(self, subject: str) -> _Lane:
        with self._lock:
            if subject not in self._lanes:
                self._lanes[subject] = _Lane(subject)
            return self._lanes[subject]

    def _answer(self, lane: _Lane, question: _Question | None, until: float) -> Any:
        if question is None or not question.answered.wait(max(0.0, until - time.monotonic())):
            if question is not None:
                question.given_up = True
            self._stalled.add(lane.subject)
            return Stalled(lane.stall())
        self._stalled.discard(lane.subject)
        return question.error if question.error is not None else question.value
