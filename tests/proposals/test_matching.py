"""Reviewers proposed: expertise, equal load, conflicts out, the same each time."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from proposals.matching import Candidate, Plan, Work, propose, topics_in


def one(key: int, *topics: str, load: int = 0, limit: int = 10, purposes: tuple[str, ...] = ()) -> Candidate:
    return Candidate(key, frozenset(purposes), topics, load, limit)


def work(key: int, text: str = "", needed: int = 1, taken: tuple[int, ...] = ()) -> Work:
    return Work(key, frozenset({"pretraining"}), text, needed, frozenset(taken))


def pairs(plan: Plan) -> set[tuple[int, int]]:
    return {(match.work, match.candidate) for match in plan.matches}


def test_who_knows_the_topic_is_proposed_and_it_is_said_why() -> None:
    plan = propose([work(1, "한국어 음성합성을 위한 LLM")], [one(1, "vision"), one(2, "음성"), one(3)], set())
    assert [(match.candidate, match.topics, match.load) for match in plan.matches] == [(2, ("음성",), 1)]


def test_a_latin_topic_is_a_word_and_a_korean_one_carries_its_particle() -> None:
    assert topics_in("an llm, not a vlm", ("LM", "LLM")) == ("LLM",)
    assert topics_in("의료영상을", ("의료영상",)) == ("의료영상",)


def test_a_conflict_and_a_full_desk_are_left_out_and_what_is_short_is_said() -> None:
    plan = propose([work(1, needed=2), work(2, taken=(3,))], [one(2), one(3, limit=1)], {(1, 2)})
    assert pairs(plan) == {(1, 3), (2, 2)}
    assert plan.short == {1: 1}


def test_a_last_reviewer_is_exchanged_for_whoever_has_no_other() -> None:
    """Greedy would give candidate 1, the expert, to work 1 and leave work 2 alone."""
    plan = propose(
        [work(1, "llm"), work(2, "llm"), work(3, "llm")],
        [one(1, "LLM", limit=1), one(2, limit=2)],
        {(2, 2)},
    )
    assert pairs(plan) == {(1, 2), (2, 1), (3, 2)} and not plan.short


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_it_keeps_every_rule_and_does_not_depend_on_the_order(seed: int) -> None:
    dice = random.Random(seed)
    topics = ("llm", "vision", "speech")
    people = [one(key, *dice.sample(topics, 1), limit=dice.randint(1, 6)) for key in range(6)]
    works = [work(key, dice.choice(topics), needed=dice.randint(0, 3)) for key in range(8)]
    blocked = {(dice.randrange(8), dice.randrange(6)) for _ in range(6)}
    plan = propose(works, people, blocked)
    mixed = propose(dice.sample(works, len(works)), dice.sample(people, len(people)), blocked)
    assert pairs(plan) == pairs(mixed) and plan.short == mixed.short
    assert not pairs(plan) & blocked and len(pairs(plan)) == len(plan.matches)
    for person in people:
        assert sum(match.candidate == person.key for match in plan.matches) <= person.limit
    for row in works:
        given_to = sum(match.work == row.key for match in plan.matches)
        assert given_to + plan.short.get(row.key, 0) == row.needed


def test_equal_people_have_equal_desks() -> None:
    plan = propose([work(key, needed=3) for key in range(20)], [one(key, limit=30) for key in range(6)], set())
    loads = [sum(match.candidate == key for match in plan.matches) for key in range(6)]
    assert set(loads) == {10}
