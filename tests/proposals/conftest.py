"""What the tests of proposals share."""

import pytest

from tests.proposals.stage import Stage, make_stage


@pytest.fixture
def stage(db: None) -> Stage:
    """See tests/proposals/stage.py."""
    return make_stage()
