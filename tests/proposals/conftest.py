"""What the tests of proposals share."""

from collections.abc import Iterator

import pytest
from django.utils import translation

from tests.proposals.jury import Jury, make_jury
from tests.proposals.stage import Stage, make_stage


@pytest.fixture
def stage(db: None) -> Stage:
    """See tests/proposals/stage.py."""
    return make_stage()


@pytest.fixture
def jury(stage: Stage) -> Jury:
    """See tests/proposals/jury.py."""
    return make_jury(stage)


@pytest.fixture
def english() -> Iterator[None]:
    """What services say, in English."""
    with translation.override("en"):
        yield
