"""What the tests of the machines share."""

import pytest

from tests.cluster.site import Speaker, enrol
from tests.factories import Cast, make_cast


@pytest.fixture
def speaker(db: None) -> Speaker:
    """An enrolled node that has said nothing yet."""
    return enrol()


@pytest.fixture
def cast(db: None) -> Cast:
    """The people of every test."""
    return make_cast()
