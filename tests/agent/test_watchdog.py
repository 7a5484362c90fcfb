"""The watchdog alone: answers, errors, silence, and the way back."""

import threading

from agent.watchdog import Stalled, Watchdog
from tests.simulator.nodes import wait_until


def test_answers_and_errors_come_back_by_subject() -> None:
    watchdog = Watchdog()

    def broken() -> None:
        raise KeyError("no")

    answers = watchdog.ask({"a": lambda: 1, "b": broken}, 5)
    assert answers["a"] == 1 and isinstance(answers["b"], KeyError) and not watchdog.stalls()


def test_a_silent_subject_costs_one_patience_and_no_thread_more() -> None:
    watchdog, gate, asked = Watchdog(), threading.Event(), []

    def hang() -> str:
        asked.append(1)
        gate.wait()
        return "late"

    assert isinstance(watchdog.ask({"a": hang}, 0.2)["a"], Stalled)
    threads = threading.active_count()
    for _ in range(20):
        assert isinstance(watchdog.ask({"a": hang}, 0.01)["a"], Stalled)
    assert threading.active_count() == threads and len(asked) == 1
    assert [stall.subject for stall in watchdog.stalls()] == ["a"]
    assert watchdog.ask({"b": lambda: 2}, 5)["b"] == 2
    gate.set()
    wait_until(lambda: not watchdog.stalls())
    assert watchdog.ask({"a": lambda: "again"}, 5)["a"] == "again" and len(asked) == 1


def test_two_askers_of_one_subject_take_turns() -> None:
    watchdog, gate, got = Watchdog(), threading.Event(), []
    first = threading.Thread(target=lambda: got.append(watchdog.ask({"a": gate.wait}, 30)["a"]))
    first.start()
    wait_until(lambda: watchdog._lane("a").busy_since is not None)
    second = threading.Thread(target=lambda: got.append(watchdog.ask({"a": lambda: "second"}, 30)["a"]))
    second.start()
    gate.set()
    first.join(30)
    second.join(30)
    assert sorted(map(str, got)) == ["True", "second"]
