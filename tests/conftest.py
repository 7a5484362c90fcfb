"""Fixtures for every test. The servers come from tests/bootstrap.py."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.utils import translation


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    """Rate limits and locks of one test do not reach the next."""
    yield
    cache.clear()


@pytest.fixture(autouse=True)
def _no_language_is_left() -> Iterator[None]:
    """The language of the last request stays active in its thread; the next test begins with the site's own."""
    translation.deactivate()
    yield
    translation.deactivate()
