"""Python's search for circles of garbage, and when it only costs time."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Do not look for circles while tens of thousands of small things are made that all live until the answer is out:
    each few thousand of them would make Python look through all that is loaded, for four fifths of a page's time.

    What has no circle is freed as ever. Nested, or in several threads: the outermost turns it on again.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def keep_what_is_loaded() -> None:
    """Never look through what is loaded by now: it lives as long as the process. A full search through the 220,000
    objects of a loaded portal takes some 0.12 s on an idle core, in the middle of somebody's page.

    Before a server forks its workers, so that these share the memory: a search would write into all of it.
    """
    gc.collect()
    gc.freeze()
