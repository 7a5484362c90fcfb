"""What the tests of the machines share."""

import pytest

from tests.cluster.site import Speaker, enrol


@pytest.fixture
def speaker(db: None) -> Speaker:
    """An enrolled node that has said nothing yet."""
    return enrol()
