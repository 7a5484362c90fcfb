"""Names of whoever proposes, in texts: blotted out for reviewers of blind calls, and looked for in files."""

import re
import unicodedata
from collections.abc import Iterable

MASK = "■■■"
_LEGAL_FORM = re.compile(
    r"\(주\)|㈜|\(유\)|주식회사|유한책임회사|유한회사|,?\s*\b(?:co\.?,?\s*ltd|inc|corp|corporation|ltd|llc)\b\.?",
    re.IGNORECASE,
)


def masked(text: str, names: list[str]) -> str:
    """The text with these names blotted out, with their legal form (주식회사, Inc.) and without, whatever their case.

    The longest first. Names of one character stay.
    """
    known = sorted({form for name in names for form in _forms(name)}, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, known)), MASK, text, flags=re.IGNORECASE) if known else text


def named_in(text: str, names: Iterable[str]) -> list[str]:
    """Which of these names stand in a text, in either form, in their order.

    Latin ones as words of their own. Hangul also where blanks divide it, as text out of a PDF has them; a name of two
    syllables only as it is written, because two syllables meet by chance.
    """
    plain = unicodedata.normalize("NFC", text).casefold()
    close = "".join(plain.split())
    return [name for name in dict.fromkeys(names) if any(_stands(form, plain, close) for form in _forms(name))]


def _stands(form: str, plain: str, close: str) -> bool:
    words = unicodedata.normalize("NFC", form).casefold().split()
    if form.isascii():
        spelled = r"\s+".join(map(re.escape, words))
        return re.search(rf"(?<![a-z0-9]){spelled}(?![a-z0-9])", plain) is not None
    return " ".join(words) in plain or (len("".join(words)) > 2 and "".join(words) in close)


def _forms(name: str) -> set[str]:
    """How a name may stand in a text. Two Latin letters left of one ("AI Inc.") are a word like others."""
    bare = " ".join(_LEGAL_FORM.sub(" ", name).split())
    whole = name.strip()
    return {form for form in (whole, bare) if len(form) > 1 and (form == whole or not form.isascii() or len(form) > 2)}
