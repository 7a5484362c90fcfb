"""Who should review what: expertise, equal load, nobody with a conflict. Pure and deterministic; no Django."""

import re
import unicodedata
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

LOAD_WEIGHS = 4.0
"""A full desk weighs as much as two topics that match."""


@dataclass(frozen=True)
class Candidate:
    """A reviewer: what they know, how many reviews they have and how many they take."""

    key: int
    purposes: frozenset[str]
    topics: tuple[str, ...]
    load: int
    limit: int


@dataclass(frozen=True)
class Work:
    """A proposal that needs `needed` more reviewers; `taken` have it already."""

    key: int
    purposes: frozenset[str]
    text: str
    needed: int
    taken: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Match:
    """One reviewer for one proposal, and what speaks for it. `load`: with this one."""

    work: int
    candidate: int
    topics: tuple[str, ...]
    purposes: tuple[str, ...]
    load: int
    limit: int


@dataclass(frozen=True)
class Plan:
    """The matches, and by proposal how many reviewers could not be found."""

    matches: tuple[Match, ...]
    short: dict[int, int]


def plain(text: str) -> str:
    """For comparing: composed, without case."""
    return unicodedata.normalize("NFC", text).casefold()


def topics_in(text: str, topics: Iterable[str]) -> tuple[str, ...]:
    """The topics that a (plain) text speaks of. Latin ones as whole words; Korean carries its particles on the word."""
    found = []
    for topic in topics:
        word = plain(topic).strip()
        if not word:
            continue
        if word.isascii():
            hit = re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", text) is not None
        else:
            hit = word in text
        if hit:
            found.append(topic)
    return tuple(found)


def propose(works: Iterable[Work], candidates: Iterable[Candidate], blocked: set[tuple[int, int]]) -> Plan:
    """A reviewer for every place that is open, as far as there are any.

    `blocked` are pairs (work, candidate) that may not be. Where the greedy choice leaves a proposal without a reviewer
    though exchanging would find one, it is exchanged.
    """
    return _Desk(list(works), list(candidates), blocked).plan()


class _Desk:
    def __init__(self, works: list[Work], candidates: list[Candidate], blocked: set[tuple[int, int]]) -> None:
        self.works = {work.key: work for work in sorted(works, key=lambda work: work.key)}
        self.candidates = {one.key: one for one in sorted(candidates, key=lambda one: one.key)}
        self.blocked = blocked
        self.load = {one.key: one.load for one in candidates}
        self.given: dict[int, set[int]] = {key: set() for key in self.works}
        self.held: dict[int, set[int]] = {key: set() for key in self.candidates}
        self.hits: dict[tuple[int, int], tuple[str, ...]] = {}
        for work in self.works.values():
            text = plain(work.text)
            for one in self.candidates.values():
                self.hits[work.key, one.key] = topics_in(text, one.topics)

    def plan(self) -> Plan:
        """Round by round, the proposal with the fewest possible reviewers first, so that nobody takes its last one."""
        order = sorted(self.works, key=lambda key: (len(self._eligible(key)), key))
        for turn in range(max((work.needed for work in self.works.values()), default=0)):
            for key in order:
                if self.works[key].needed > turn:
                    self._give_best(key)
        for key in order:
            while len(self.given[key]) < self.works[key].needed and self._exchange(key):
                pass
        matches = [self._match(key, one) for key in self.works for one in sorted(self.given[key])]
        short = {key: work.needed - len(self.given[key]) for key, work in self.works.items()}
        return Plan(tuple(matches), {key: count for key, count in short.items() if count > 0})

    def _eligible(self, key: int) -> list[int]:
        taken = self.works[key].taken
        return [one for one in self.candidates if one not in taken and (key, one) not in self.blocked]

    def _points(self, key: int, one: int) -> int:
        return 2 * len(self.hits[key, one]) + len(self.works[key].purposes & self.candidates[one].purposes)

    def _has_room(self, one: int) -> bool:
        return self.load[one] < self.candidates[one].limit

    def _give_best(self, key: int) -> None:
        free = [one for one in self._eligible(key) if one not in self.given[key] and self._has_room(one)]
        if free:
            self._give(key, min(free, key=lambda one: (-self._worth(key, one), self.load[one], one)))

    def _worth(self, key: int, one: int) -> float:
        return round(self._points(key, one) - LOAD_WEIGHS * (self.load[one] + 1) / self.candidates[one].limit, 9)

    def _give(self, key: int, one: int) -> None:
        self.given[key].add(one)
        self.held[one].add(key)
        self.load[one] += 1

    def _take(self, key: int, one: int) -> None:
        self.given[key].discard(one)
        self.held[one].discard(key)
        self.load[one] -= 1

    def _exchange(self, start: int) -> bool:
        """An augmenting path: somebody full gives a proposal on to somebody who has room. False where there is none."""
        came: dict[int, tuple[int, int] | None] = {start: None}  # work -> (the work before it, the reviewer given up)
        queue = deque([start])
        while queue:
            key = queue.popleft()
            for one in self._eligible(key):
                if one in self.given[key]:
                    continue
                if self._has_room(one):
                    self._walk_back(key, one, came)
                    return True
                for other in sorted(self.held[one]):
                    if other not in came:
                        came[other] = (key, one)
                        queue.append(other)
        return False

    def _walk_back(self, key: int, one: int, came: dict[int, tuple[int, int] | None]) -> None:
        self._give(key, one)
        step = came[key]
        while step is not None:
            before, freed = step
            self._take(key, freed)
            self._give(before, freed)
            key, step = before, came[before]

    def _match(self, key: int, one: int) -> Match:
        work, candidate = self.works[key], self.candidates[one]
        common = tuple(sorted(work.purposes & candidate.purposes))
        return Match(key, one, self.hits[key, one], common, self.load[one], candidate.limit)
