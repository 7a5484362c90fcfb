"""Thousands of random bookings, extensions, cancellations and announcements against a slow and obvious oracle.

HYPOTHESIS_SEED repeats a run; a failure names its seed and the steps that lead to it, which take minutes to shorten.
"""

import os
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Q
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from allocations.selectors import availability
from allocations.services import booking, checks, ledger, placing
from audit.services import record
from cluster.models import Pool
from cluster.selectors import bookable_devices, maintenance_between
from common.errors import RuleBroken
from tests.concurrency.booking_machine import BookingModel, World, make_world

SEED = int(os.environ.get("HYPOTHESIS_SEED") or random.SystemRandom().randrange(2**32))
FOUND = 5
"""The controls always make the same steps: whether they find what is broken is no luck."""
SHARDS, WANTED = 4, 2_550
"""Every shard makes as many steps as are wanted, so that two workers share 10,000 and more."""
EXAMPLES, STEPS, TURNS = 12, 50, 40
MUST_SEE = {
    *(("book", code) for code in ("done", "no_free_devices", "balance", "concurrent_gpus", "ceiling_concurrent_gpus")),
    *(("book", code) for code in ("outside_allocation", "outside_term", "end_before_start", "devices_named")),
    *(("extend", code) for code in ("done", "no_free_devices", "balance")),
    *(("announce_maintenance", code) for code in ("done", "promises", "announced_already")),
    *(("quarantine_device", code) for code in ("done", "promises")),
    *(("share_nodes", "done"), ("cancel", "done"), ("cancel_maintenance", "done"), ("return_device", "done")),
    *(("capacity", "asked"), ("next_free_window", "asked")),
}
"""A model that never comes to these has not asked for them."""


def run(world: World, number: int, *phases: Phase, base: int = SEED) -> None:
    """A turn of the machine under a seed of its own; what fails names the seed that repeats it."""
    chosen = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        phases=phases or (Phase.generate, Phase.shrink),
        deadline=None,
        derandomize=False,
        database=None,
        print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(base + number)(lambda: BookingModel(world)), settings=chosen)
    except BaseException as error:
        error.add_note(f"repeat with HYPOTHESIS_SEED={base}; this was turn {number}")
        raise


@pytest.mark.django_db
@pytest.mark.timeout(900)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_the_services_answer_as_the_oracle_does(shard: int) -> None:
    world, turn = make_world(), 0
    print(f"HYPOTHESIS_SEED={SEED}")
    while turn < TURNS and (world.steps < WANTED or not world.outcomes.keys() >= MUST_SEE):
        run(world, shard * TURNS + turn)
        turn += 1
    print(f"{world.steps} steps in {turn} turns: {dict(sorted(world.outcomes.items()))}")
    assert world.steps >= WANTED
    assert not MUST_SEE - world.outcomes.keys()


# Controls: each of these services is broken, and the machine finds it.


def _drop(*constraints: str) -> None:
    """Else the database is right where the service is wrong. Rolled back with the test."""
    with connection.cursor() as cursor:
        for name in constraints:
            cursor.execute(f"ALTER TABLE allocations_placement DROP CONSTRAINT {name}")


def _nothing(*_args: Any, **_kwargs: Any) -> None:
    """In the place of a check."""


def look_at_nobody(patch: pytest.MonkeyPatch) -> None:
    """An extension does not ask who comes next."""
    _drop("no_device_slice_promised_twice")
    patch.setattr(placing, "check_free", _nothing)


def show_held_as_free(patch: pytest.MonkeyPatch) -> None:
    """Every device that nobody mends is on offer."""
    _drop("no_device_slice_promised_twice", "one_organisation_on_a_node")
    patch.setattr(placing, "check_free", _nothing)

    def not_mended(pool: Pool, starts_at: datetime, ends_at: datetime, **_kwargs: Any) -> Any:
        return bookable_devices(pool).exclude(node__in=maintenance_between(starts_at, ends_at).values("node"))

    patch.setattr(booking, "free_devices", not_mended)


def forget_the_neighbours(patch: pytest.MonkeyPatch) -> None:
    """Another organisation on a node keeps nobody off: the database has to refuse what the service chose."""
    for module in (availability, placing):
        patch.setattr(module, "of_others", lambda _tenants: Q(pk__in=[]))


def refuse_to_spread(patch: pytest.MonkeyPatch) -> None:
    """What fits only on two nodes is said not to be free."""
    choose = placing.choose

    def on_one_node(*args: Any, **kwargs: Any) -> Any:
        chosen = choose(*args, **kwargs)
        return chosen if chosen and len({device.node_id for device in chosen}) == 1 else None

    patch.setattr(placing, "choose", on_one_node)


def offer_what_was_asked(patch: pytest.MonkeyPatch) -> None:
    """The remedy of a refusal is the very window that was refused."""

    def same(_pool: Pool, _count: int, length: timedelta, after: datetime, **_kwargs: Any) -> Any:
        return after, after + length

    patch.setattr(booking, "next_free_window", same)


def keep_the_hours(patch: pytest.MonkeyPatch) -> None:
    """A cancelled lease keeps its hold."""
    patch.setattr(ledger, "settle", lambda *_args, **_kwargs: 0)


def lift_the_ceilings(patch: pytest.MonkeyPatch) -> None:
    """No limit of GPUs at once, and no term."""
    patch.setattr(checks, "concurrency", _nothing)


def leave_a_trace(patch: pytest.MonkeyPatch) -> None:
    """A booking that is refused writes a row."""
    book = booking.book

    def refused_on_record(**arguments: Any) -> Any:
        try:
            return book(**arguments)
        except RuleBroken:
            record(actor=arguments["actor"], verb="lease.refused", target=arguments["allocation"])
            raise

    patch.setattr(booking, "book", refused_on_record)


CONTROLS = {
    look_at_nobody: "done, where the oracle refuses.*no_free_devices",
    show_held_as_free: "a device that was not free|the oracle refuses",
    forget_the_neighbours: "the oracle (finds no reason|refuses otherwise|counts|finds others|offers)",
    refuse_to_spread: "where the oracle finds no reason",
    offer_what_was_asked: "the oracle refuses otherwise",
    keep_the_hours: "the leases or their entries are not the oracle's",
    lift_the_ceilings: "the oracle refuses",
    leave_a_trace: "and something was written",
}
"""What each breakage is found by."""


@pytest.mark.django_db
@pytest.mark.parametrize("breakage", CONTROLS)
def test_control_a_broken_service_is_found(
    breakage: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world()
    breakage(monkeypatch)
    with pytest.raises(AssertionError, match=CONTROLS[breakage]):
        for turn in range(TURNS):
            run(world, turn, Phase.generate, base=FOUND)
