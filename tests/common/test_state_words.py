"""One English word of a state is several Korean ones: each noun has its own."""

import re

import pytest
from django.utils.translation import override

from common.errors import InvalidTransition
from common.templatetags.bitgoeul import badge
from tests.architecture.tree import ROOT, sources
from tools.catalogue import state_words


@pytest.mark.parametrize(
    ("state", "noun", "korean"),
    [
        ("declined", "proposal", "미선정"),
        ("declined", "change request", "불승인"),
        ("open", "call", "접수 중"),
        ("open", "step", "진행 중"),
        ("draining", "node", "신규 예약 중지"),
        ("draining", "reservation", "접속 종료 중"),
        ("active", "agreement", "유효"),
        ("active", "reservation", "사용 중"),
    ],
)
def test_a_badge_says_it_in_the_words_of_its_noun(state: str, noun: str, korean: str) -> None:
    with override("ko"):
        assert f">{korean}<" in badge(state, noun)


def test_every_badge_names_a_noun_that_there_is() -> None:
    texts = {path: path.read_text() for path in [*sources(), *(ROOT / "templates").rglob("*.html")]}
    named = {
        (path.name, noun)
        for path, text in texts.items()
        for noun in re.findall(r'(?:\|(?:badge|state_label):|\bbadge=)"([^"]*)"', text)
    }
    assert len(named) > 30 and {noun for _file, noun in named} <= state_words().keys()


def test_a_refusal_names_noun_and_state_in_the_readers_language() -> None:
    with override("ko"):
        assert "예약의 상태가 “사용 중”입니다" in str(InvalidTransition("reservation", "active", "accept"))
