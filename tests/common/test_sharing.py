"""What viewers see alike is made once for some seconds, and nobody is given what is another's."""

import time
from itertools import count
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone, translation

from common.sharing import shared


@pytest.fixture(autouse=True)
def sharing(settings: Any) -> None:
    settings.SHARED_SECONDS = 5


def test_it_is_made_once_for_who_asks_the_same_of_the_same() -> None:
    turns = count()

    def ask(of: str = "lease-one", *asked: object, name: str = "lease", seconds: float | None = None) -> int:
        return shared(name, lambda: next(turns), of=f"{of}-{id(turns)}", asked=asked, seconds=seconds)

    assert [ask(), ask()] == [0, 0]
    assert ask("lease-two") == 1 and ask("lease-one", True) == 2 and ask("lease-one", "True") == 3
    assert ask(name="chart") == 4
    with translation.override("en"):
        assert ask() == 5
    with timezone.override("America/New_York"):
        assert ask() == 6
    assert ask() == 0


def test_it_grows_old_and_is_made_anew_by_one_while_the_others_have_the_last() -> None:
    of, seen = str(time.time()), []

    def ask(make: Any) -> Any:
        return shared("lease", make, of=of, asked=(), seconds=0.2)

    def anew() -> str:
        seen.append(ask(lambda: "made by a second one"))
        return "new"

    assert ask(lambda: "old") == "old"
    time.sleep(0.21)
    assert ask(anew) == "new" and seen == ["old"]
    assert ask(lambda: "newer") == "new"


def test_where_nothing_may_be_shared_or_no_cache_answers_everybody_has_their_own(settings: Any) -> None:
    settings.SHARED_SECONDS = 0
    assert [shared("lease", lambda n=n: n, of="lease-own", asked=()) for n in range(2)] == [0, 1]
    settings.SHARED_SECONDS = 5
    settings.CACHES = {
        **settings.CACHES,
        "default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"},
    }
    assert cache.get("anything") is None
    assert [shared("lease", lambda n=n: n, of="lease-away", asked=()) for n in range(2)] == [0, 1]
