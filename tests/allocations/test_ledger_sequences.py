"""Whatever is done to an allocation in whatever order, its ledger is what a naive bookkeeper has: minute by minute."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import groupby
from math import ceil
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as some

from allocations.models import Adjustment, Allocation, Lease, PoolWeight
from allocations.selectors.balances import balance
from allocations.selectors.proof import ledger_faults
from allocations.services import adjusting, changing, ending, extending, ledger, weighing
from allocations.shapes import ANY
from common.errors import DomainError
from tests.allocations.conftest import Stage
from tests.allocations.test_adjusting import second
from tests.factories import AllocationFactory

TURN = timedelta(minutes=20)
AWARD = 12 * 3600
WEIGHTS = [1, 333, 999, 1000, 1001, 1500, 4000]


@dataclass
class Booked:
    """What the bookkeeper knows of a reservation: the weight of each of its minutes, as agreed."""

    count: int
    start: int
    minutes: list[int]
    charged: int | None = None
    ended: int | None = None

    def price(self, until: int | None = None) -> int:
        """Runs of one weight, each rounded up."""
        minutes = self.minutes if until is None else self.minutes[: max(0, until - self.start)]
        return sum(ceil(Fraction(self.count * 60 * len(list(run)) * weight, 1000)) for weight, run in groupby(minutes))


@dataclass
class Books:
    """The naive bookkeeper: no segments, no steps, no database."""

    weights: dict[int, int] = field(default_factory=dict)
    leases: dict[int, Booked] = field(default_factory=dict)
    adjusted: int = 0

    def at(self, minute: int) -> int:
        """The weight of a minute as announced now."""
        begun = [moment for moment in self.weights if moment <= minute]
        return self.weights[max(begun)] if begun else 1000

    def span(self, start: int, end: int) -> list[int]:
        return [self.at(minute) for minute in range(start, end)]

    def held(self) -> int:
        return sum(row.price() for row in self.leases.values() if row.charged is None)

    def left(self) -> int:
        return AWARD + self.adjusted - self.held() - sum(row.charged or 0 for row in self.leases.values())


class Office:
    """The services on one side, the bookkeeper on the other; a step does the same to both."""

    def __init__(self, stage: Stage, allocation: Allocation, other: Any) -> None:
        self.stage, self.allocation, self.other = stage, allocation, other
        self.base = timezone.now().replace(second=0, microsecond=0) + timedelta(hours=1)
        self.books = Books()

    def moment(self, minute: int) -> datetime:
        return self.base + timedelta(minutes=minute)

    def pick(self, which: int, *states: str) -> Lease | None:
        rows = list(Lease.objects.filter(allocation=self.allocation, state__in=states).order_by("pk"))
        return rows[which % len(rows)] if rows else None

    def tried(self, cost: int, verb: Callable[[], Any]) -> Any:
        """The verb's result; None where it is refused, for lack of hours exactly when the books say so."""
        try:
            with transaction.atomic():
                made = verb()
        except DomainError as error:
            assert error.code != "balance" or cost > self.books.left(), error.facts
            return None
        assert cost <= self.books.left()
        return made

    def book(self, count: int, start: int, turns: int) -> None:
        row = Booked(count, start, self.books.span(start, start + 20 * turns))
        made = self.tried(
            row.price(),
            lambda: self.stage.book(
                count,
                allocation=self.allocation,
                start=(self.moment(start) - self.stage.now) / timedelta(hours=1),
                hours=turns / 3,
            ),
        )
        if made:
            made.refresh_from_db()
            self.books.leases[made.pk] = row

    def extend(self, which: int, turns: int, _other: int) -> None:
        lease = self.pick(which, "scheduled")
        if lease:
            old = self.books.leases[lease.pk]
            end = old.start + len(old.minutes)
            new = Booked(old.count, old.start, old.minutes + self.books.span(end, end + 20 * turns))
            ends_at = lease.ends_at + turns * TURN
            asked = {"actor": self.stage.cast.owner, "lease": lease, "ends_at": ends_at}
            if self.tried(new.price() - old.price(), lambda: extending.extend(**asked)):
                self.books.leases[lease.pk] = new

    def change(self, which: int, count: int, turns: int) -> None:
        lease = self.pick(which, "scheduled")
        if lease:
            old = self.books.leases[lease.pk]
            start = old.start + 20 * (which % 3)
            new = Booked(count, start, self.books.span(start, start + 20 * turns))
            window = {"starts_at": self.moment(start), "ends_at": self.moment(start + 20 * turns)}
            asked = {"actor": self.stage.cast.owner, "lease": lease, "device_count": count, "shape": ANY} | window
            if self.tried(new.price() - old.price(), lambda: changing.change(**asked)):
                self.books.leases[lease.pk] = new

    def cancel(self, which: int, _one: int, _two: int) -> None:
        if lease := self.pick(which, "scheduled"):
            ending.cancel(actor=self.stage.cast.owner, lease=lease)
            self.books.leases[lease.pk].charged = 0

    def release(self, which: int, turns: int, minutes: int) -> None:
        """Handed over at its start, and given back before or at its end."""
        if lease := self.pick(which, "scheduled"):
            row = self.books.leases[lease.pk]
            row.ended = min(row.start + 20 * turns + minutes, row.start + len(row.minutes))
            Lease.objects.filter(pk=lease.pk).update(state="active", active_at=lease.starts_at)
            lease = Lease.objects.select_related("allocation__project", "booked_by").get(pk=lease.pk)
            told = {"actor": self.stage.cast.owner, "end_reason": "released", "now": self.moment(row.ended)}
            ending.start_draining(lease, "release", **told)

    def settle(self, which: int, _one: int, _two: int) -> None:
        """All is clean; the settlement comes twice, as after a crash."""
        if lease := self.pick(which, "draining"):
            row = self.books.leases[lease.pk]
            Lease.objects.filter(pk=lease.pk).update(state="ended")
            lease.placements.update(released=True)
            row.charged = row.price(row.ended)
            for _turn in range(2):
                assert ledger.settle(lease, actor=self.stage.cast.owner, reason="released") == row.charged

    def adjust(self, hours: int, sign: int, _two: int) -> None:
        seconds = hours * 1800 * (-1 if sign % 2 else 1)
        asked = {"actor": self.stage.cast.officer, "allocation": self.allocation, "reason": "x"}
        made = self.tried(-seconds, lambda: adjusting.propose(device_seconds=seconds, **asked))
        if isinstance(made, Adjustment):
            adjusting.confirm(actor=self.other, adjustment=made)
            self.books.adjusted += seconds

    def weigh(self, which: int, start: int, turns: int) -> None:
        minute = start * 7 + turns
        asked = {"actor": self.stage.cast.officer, "pool": self.stage.pool, "reason": "x"}
        weight = WEIGHTS[which % len(WEIGHTS)]
        try:
            with transaction.atomic():
                weighing.announce(weight=weight, valid_from=self.moment(minute), **asked)
        except DomainError as error:
            assert error.code == "weight_taken" and minute in self.books.weights
            return
        self.books.weights[minute] = weight

    def withdraw(self, which: int, _one: int, _two: int) -> None:
        rows = list(PoolWeight.objects.filter(pool=self.stage.pool, withdrawn_at=None).order_by("pk"))
        if rows:
            row = rows[which % len(rows)]
            weighing.withdraw(actor=self.stage.cast.officer, weight=row, reason="x")
            del self.books.weights[(row.valid_from - self.base) // timedelta(minutes=1)]

    def agrees(self) -> None:
        found = balance(self.allocation)
        assert (found.left, found.held, found.adjusted) == (self.books.left(), self.books.held(), self.books.adjusted)
        faults = list(ledger_faults())
        assert not faults, "\n".join(map(str, faults))


def step(name: str, first: Any, then: Any, last: Any) -> Any:
    return some.tuples(some.just(name), first, then, last)


which, few = some.integers(0, 7), some.integers(1, 3)
starts = some.integers(0, 12).map(lambda turn: 10 * turn)
steps = some.one_of(
    step("book", few, starts, some.integers(1, 6)),
    step("book", few, starts, some.integers(1, 6)),
    step("weigh", which, some.integers(0, 30), some.integers(0, 3)),
    step("extend", which, few, which),
    step("change", which, few, some.integers(1, 6)),
    step("cancel", which, which, which),
    step("release", which, some.integers(0, 5), some.integers(0, 19)),
    step("settle", which, which, which),
    step("adjust", some.integers(1, 20), which, which),
    step("withdraw", which, which, which),
)


@pytest.fixture
def office(stage: Stage) -> tuple[Stage, Allocation, Any]:
    """An allocation of twelve hours and two officers, before anything was done."""
    allocation = AllocationFactory(project=stage.cast.project, pool=stage.pool, awarded_gpu_seconds=AWARD)
    return stage, allocation, second(stage)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(some.lists(steps, min_size=1, max_size=9))
def test_the_ledger_is_what_a_naive_bookkeeper_has(
    office: tuple[Stage, Allocation, Any], asked: list[tuple[str, int, int, int]]
) -> None:
    with transaction.atomic():
        both = Office(*office)
        for name, *said in asked:
            note(f"{name} {said}")
            getattr(both, name)(*said)
            if name in ("settle", "extend", "change"):
                both.agrees()
        both.agrees()
        transaction.set_rollback(True)
