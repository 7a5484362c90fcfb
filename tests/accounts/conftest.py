"""What the tests of accounts share."""

import pytest

from tests.factories import Cast, make_cast


@pytest.fixture
def cast(db: None) -> Cast:
    """The whole cast."""
    return make_cast()
