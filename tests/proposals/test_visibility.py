"""The one table of who sees what."""

import pytest

from proposals.names import masked, named_in
from proposals.visibility import ROLES, STEPS, Part, role_of, seen, step_of


def shown(role: str, step: str, **changes: object) -> frozenset[Part]:
    terms = {"blind": False, "reviewers_see": "after_own", "own_is_in": False, **changes}
    return seen(role, step, **terms)  # type: ignore[arg-type]


def test_the_agencys_officers_and_auditors_see_all_in_every_step() -> None:
    for step in STEPS:
        assert shown("officer", step, blind=True) == shown("auditor", step) == frozenset(Part) - {Part.OWN}


def test_a_partner_learns_what_reviewers_wrote_for_them_only_after_the_decision() -> None:
    for step in STEPS[:-1]:
        assert shown("partner", step) == {Part.CONTENT, Part.IDENTITY, Part.PROGRESS}
    assert shown("partner", "decided") - shown("partner", "panel") == {Part.FEEDBACK}


def test_nothing_is_open_to_a_reviewer_before_the_expert_review() -> None:
    assert [shown("reviewer", step) for step in STEPS[:3]] == [frozenset()] * 3


@pytest.mark.parametrize(
    ("rule", "own_is_in", "others"),
    [("own", True, False), ("after_own", False, False), ("after_own", True, True), ("all", False, True)],
)
def test_what_reviewers_see_of_each_other_is_the_calls_word(rule: str, own_is_in: bool, others: bool) -> None:
    for step in STEPS[3:]:
        got = shown("reviewer", step, reviewers_see=rule, own_is_in=own_is_in)
        assert (Part.OTHERS in got) is others is (Part.REVIEWERS in got)
        blind = shown("reviewer", step, reviewers_see=rule, own_is_in=own_is_in, blind=True)
        assert got - blind == {Part.IDENTITY} | ({Part.REVIEWERS} if others else set())


def test_an_operator_sees_no_reviews() -> None:
    for step in STEPS:
        assert not shown("operator", step) & {Part.OTHERS, Part.STANDING, Part.FEEDBACK, Part.REVIEWERS}


def test_roles_and_steps_have_one_name_each() -> None:
    assert [role_of(frozenset(r)) for r in ([], ["reviewer"], ["operator"], ["administrator"], ["auditor"])] == [*ROLES]
    assert [step_of(*found) for found in (("submitted", ""), ("in_review", "expert"), ("accepted", ""))] == [
        "queue",
        "expert",
        "decided",
    ]


def test_names_are_blotted_out_whatever_their_case_and_the_longest_first() -> None:
    assert masked("Upstage AI and UPSTAGE, 업스테이지는", ["Upstage", "Upstage AI", "업스테이지", "A"]) == (
        "■■■ and ■■■, ■■■는"
    )


def test_names_are_found_in_texts_as_words_and_where_blanks_divide_them() -> None:
    names = ["주식회사 업스테이지", "Upstage Co., Ltd.", "이수", "Kim Minji", "123-45-67891"]
    assert named_in("업 스테\n이지 and UPSTAGE, Kim\nMinji; 123-45-67891", names) == [names[0], names[1], *names[3:]]
    assert named_in("upstages, 모이 수단, Kim Minjis, 0123-45-678912", names) == []
    assert named_in("이수", names) == ["이수"]


def test_a_name_is_blotted_out_without_its_legal_form_too() -> None:
    names = ["주식회사 한빛", "Hanbit Labs Co., Ltd.", "㈜ 광주데이터", "AI Inc."]
    text = "한빛(Hanbit Labs)과 광주데이터, 주식회사 한빛의 AI, at AI Inc."
    assert masked(text, names) == "■■■(■■■)과 ■■■, ■■■의 AI, at ■■■"
