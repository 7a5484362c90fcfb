"""What a state of a noun is called in the reader's language.

Each noun is a context of its own in the catalogue, because one English word is several Korean ones: an open call takes
proposals (접수 중), an open step is being worked at (진행 중).
"""

from django.utils.translation import pgettext


def state_context(noun: str) -> str:
    """Under which context the catalogue has the states of a noun."""
    return f"{noun} state"


def state_word(state: str, noun: str) -> str:
    """The state's name."""
    return pgettext(state_context(noun), state.replace("_", " "))


def noun_word(noun: str) -> str:
    """The noun's own name."""
    return pgettext("noun", noun)
