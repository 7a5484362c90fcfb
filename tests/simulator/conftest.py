"""Fixtures for tests of the simulator: a served node, and a node in a clock of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulator.nodes import SimulatedNode, start_node


@pytest.fixture
def node(tmp_path: Path) -> Iterator[SimulatedNode]:
    """Four H100s, served."""
    served = start_node(tmp_path, count=4)
    yield served
    served.stop()
