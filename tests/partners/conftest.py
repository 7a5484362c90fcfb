"""What the tests of partners share."""

import pytest

from tests.factories import Cast, GpuClassFactory, make_cast


@pytest.fixture
def cast(db: None) -> Cast:
    """The whole cast, and one GPU class that exists."""
    GpuClassFactory()
    return make_cast()
