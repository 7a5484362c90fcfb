"""Texts as they are kept."""

from common.texts import one_line


def test_a_name_turns_nothing_that_stands_beside_it() -> None:
    assert one_line("Walk \u202eLabs\u2066 \u05e9\u05dc\u05d5\u05dd ") == "Walk Labs \u05e9\u05dc\u05d5\u05dd"
    assert one_line("\u1112\u1161\u11ab\n\U0001f469\u200d\U0001f4bb") == "\ud55c \U0001f469\u200d\U0001f4bb"
