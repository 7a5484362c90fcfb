"""What several people see alike is made once, and is a few seconds old for all but the first of them.

Pages that refresh themselves ask again and again, and everybody who looks at the same thing would have the same figures
put together for themselves. Who asks has been let in before (`visible_to`): the key names what it is of, so that nobody
is given another's, and everything else that the answer depends on. What is shared says on its face of which moment it
is. Nothing that carries a secret of one person (a form's token) may be shared.
"""

import hashlib
import time
from collections.abc import Callable
from typing import TypeVar

from django.conf import settings
from django.core.cache import cache
from django.utils import timezone
from django.utils.translation import get_language

T = TypeVar("T")
NOT_KEPT = {"Cache-Control": "private, no-store"}
"""Headers of what is shared: no browser and no proxy keeps anybody's figures."""
AGENCY = "agency"
"""What is the same for everybody of the agency."""


def shared(name: str, make: Callable[[], T], *, of: str, asked: tuple[object, ...], seconds: float | None = None) -> T:
    """What `make` gives, or what it gave at most twice `seconds` ago (None: SHARED_SECONDS; 0: nothing is shared).

    `of`: the public id of what it is about, or AGENCY; `asked`: all that was asked, and what the reader may do, as far
    as the answer shows it. Language and zone are added here. While one reader has it made anew, the others are given
    the last one; without a cache everybody has their own made.
    """
    fresh = settings.SHARED_SECONDS if seconds is None else min(seconds, 12 * settings.SHARED_SECONDS)
    if fresh <= 0:
        return make()
    words = (name, of, get_language(), timezone.get_current_timezone_name(), *asked)
    key = f"shared:{hashlib.sha256(repr(words).encode()).hexdigest()}"
    kept = cache.get(key)
    if kept is not None and (time.time() - kept[0] < fresh or not cache.add(f"{key}:making", 1, fresh)):
        return kept[1]  # type: ignore[no-any-return]
    begun = time.time()
    made = make()
    cache.set(key, (begun, made), 2 * fresh)
    cache.delete(f"{key}:making")
    return made
