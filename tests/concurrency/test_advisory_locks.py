"""Advisory locks are numbers that everybody shares: two jobs with the same number would wait for each other."""

import re

import pytest
from django.db import connection, connections

from allocations.services.reconcile import TICK_LOCK
from audit.services import SEAL_LOCK
from proposals.services.numbers import NUMBER_LOCK
from tests.architecture.tree import sources
from tests.concurrency.test_booking_race import RACE


def test_every_advisory_lock_has_a_number_of_its_own() -> None:
    found = [
        match.group(1).replace("_", "").lower()
        for path in sources()
        for match in re.finditer(r"^\w+_LOCK = (0x[0-9a-fA-F_]+)", path.read_text(), re.MULTILINE)
    ]
    assert len(found) >= 3 and len(found) == len(set(found))


@RACE
@pytest.mark.parametrize(("mine", "free"), [(SEAL_LOCK, True), (NUMBER_LOCK, True), (TICK_LOCK, False)])
def test_a_running_tick_keeps_out_other_ticks_and_nothing_else(mine: int, free: bool) -> None:
    """TICK_LOCK itself is the control: the lock is really held."""
    other = connections.create_connection("default")
    try:
        with connection.cursor() as held, other.cursor() as asking:
            held.execute("SELECT pg_advisory_lock(%s)", [TICK_LOCK])
            asking.execute("SELECT pg_try_advisory_lock(%s)", [mine])
            assert asking.fetchone()[0] is free
            held.execute("SELECT pg_advisory_unlock(%s)", [TICK_LOCK])
    finally:
        other.close()
