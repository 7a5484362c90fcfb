"""Fixtures for every test. The servers come from tests/bootstrap.py."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    """Rate limits and locks of one test do not reach the next."""
    yield
    cache.clear()
