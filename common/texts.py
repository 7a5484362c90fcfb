"""Texts as people type them, brought into one form before they are kept."""

import unicodedata


def composed(text: str) -> str:
    """Hangul in syllables (NFC): macOS and some keyboards send single Jamo, which nobody would find again."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str) -> str:
    """Composed, without control characters, and with single spaces between words: a title, a name."""
    kept = "".join(" " if char.isspace() else char for char in composed(text) if char.isspace() or _is_shown(char))
    return " ".join(kept.split())


TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What turns the direction of all that follows it: a name with one of these mirrors the sentence that it stands in."""


def _is_shown(char: str) -> bool:
    """No control characters; joiners stay, because emoji and several scripts are spelled with them."""
    return unicodedata.category(char) != "Cc" and char not in TURNING
