"""Hundreds of writers at once: book, cancel, release, extend, shrink, move, announce work, take GPUs out, promise.

What must come of it: no slice promised twice, no update lost, no deadlock before a user's eyes, a ledger that adds up.
Each has its control, in which the same storm without the one safeguard does the harm.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.utils import timezone

from allocations.models import Allocation, Lease, Placement
from allocations.selectors.balances import balance
from allocations.selectors.proof import ledger_faults
from allocations.services import booking, changing, checks, ending, envelopes, extending, operating, placing
from allocations.services.retrying import in_one_transaction
from allocations.shapes import ANY, Shape
from audit.models import AuditEvent
from cluster.models import MaintenanceWindow, Node, Pool
from common.actors import SEED
from common.errors import DomainError
from tests.concurrency.test_booking_race import RACE
from tests.factories import AllocationFactory, Cast, PoolFactory, make_cast, make_node
from tests.factories.allocations import rival_award

WRITERS, AT_ONCE, HOUR = 240, 16, timedelta(hours=1)
OVERLAPS = """
SELECT count(*) FROM allocations_placement a JOIN allocations_placement b
ON a.id < b.id AND a.board_id = b.board_id AND a.slices && b.slices AND a."window" && b."window"
WHERE NOT a.released AND NOT b.released
"""


def count(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.fetchone()[0])


@dataclass
class Scene:
    """Two pools, four awards of two organisations; what was done and what was refused, by verb."""

    cast: Cast
    pools: list[Pool]
    awards: list[tuple[Any, Allocation]]
    start: datetime
    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    broken: list[BaseException] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, name: str, verb: Callable[[], Any]) -> Any:
        """What a user would see: done, refused with a rule, or (never) anything else."""
        try:
            result = verb()
        except DomainError as error:
            with self.lock:
                self.refused[f"{name}:{error.code}"] += 1
            return None
        except Exception as error:
            with self.lock:
                self.broken.append(error)
            return None
        with self.lock:
            self.done[name] += 1
        return result


def make_scene() -> Scene:
    cast = make_cast()
    pools = [PoolFactory(shared_nodes=True, turnaround_seconds=600), PoolFactory(turnaround_seconds=0)]
    for pool in pools:
        for size in (4, 4, 2):
            make_node(pool, size)
    awards = [(cast.owner, AllocationFactory(project=cast.project, pool=pool)) for pool in pools]
    awards += [(cast.outsider, rival_award(cast, pool)) for pool in pools]
    start = timezone.now().replace(minute=0, second=0, microsecond=0) + 3 * HOUR
    return Scene(cast, pools, awards, start)


class Writer:
    """One of many: a few verbs of a seed of its own."""

    def __init__(self, scene: Scene, number: int) -> None:
        self.scene, self.dice = scene, random.Random(number)

    def run(self) -> None:
        try:
            for _turn in range(3):
                chosen = self.dice.choices(
                    [
                        self.book,
                        self.extend,
                        self.shrink,
                        self.move,
                        self.give_up,
                        self.work,
                        self.take_out,
                        self.promise,
                    ],
                    weights=[40, 12, 12, 12, 10, 6, 4, 4],
                )[0]
                chosen()
        finally:
            connections.close_all()

    def book(self) -> None:
        actor, award = self.dice.choice(self.scene.awards)
        begin = self.scene.start + self.dice.randrange(12) * HOUR
        shape = self.dice.choice([ANY, ANY, Shape("same_node"), Shape("nodes", 2)])
        gpus = 2 * self.dice.randint(1, 2) if shape.kind == "nodes" else self.dice.randint(1, 4)
        window = {"starts_at": begin, "ends_at": begin + self.dice.randint(1, 4) * HOUR}
        ask = {"actor": actor, "allocation": award, "device_count": gpus, "shape": shape, **window}
        self.scene.call("book", lambda: booking.book(**ask))

    def _mine(self, *states: str) -> tuple[Any, Lease] | None:
        actor, award = self.dice.choice(self.scene.awards)
        found = list(Lease.objects.filter(allocation=award, state__in=states or ("scheduled",)).order_by("pk"))
        return (actor, self.dice.choice(found)) if found else None

    def extend(self) -> None:
        if mine := self._mine():
            actor, lease = mine
            end = lease.ends_at + self.dice.randint(1, 3) * HOUR / 2
            self.scene.call("extend", lambda: extending.extend(actor=actor, lease=lease, ends_at=end))

    def shrink(self) -> None:
        if mine := self._mine():
            actor, lease = mine
            window = {"starts_at": lease.starts_at, "ends_at": lease.ends_at}
            self.scene.call(
                "change",
                lambda: changing.change(
                    actor=actor, lease=lease, device_count=max(1, lease.device_count - 1), shape=ANY, **window
                ),
            )

    def move(self) -> None:
        if mine := self._mine():
            actor, lease = mine
            begin = self.scene.start + self.dice.randrange(12) * HOUR
            window = {"starts_at": begin, "ends_at": begin + (lease.ends_at - lease.starts_at)}
            self.scene.call(
                "change",
                lambda: changing.change(
                    actor=actor, lease=lease, device_count=lease.device_count, shape=lease.layout, **window
                ),
            )

    def give_up(self) -> None:
        if mine := self._mine():
            actor, lease = mine
            self.scene.call("cancel", lambda: ending.cancel(actor=actor, lease=lease))

    def work(self) -> None:
        """Announce work, or call it off; what is in the way is moved or ended, in turn."""
        standing = MaintenanceWindow.objects.filter(cancelled_at=None).order_by("?").first()
        if standing and self.dice.random() < 0.5:
            self.scene.call(
                "cancel_maintenance",
                lambda: operating.cancel_maintenance(actor=self.scene.cast.operator, window=standing, reason="no fans"),
            )
            return
        node = Node.objects.order_by("?")[0]
        begin = self.scene.start + self.dice.randrange(12) * HOUR
        ask: dict[str, Any] = {"actor": self.scene.cast.operator, "node": node, "starts_at": begin}
        ask |= {"ends_at": begin + HOUR, "reason": "new fans"}
        self._planned("announce_maintenance", operating.announce_maintenance, ask)

    def take_out(self) -> None:
        device = self.dice.choice(list(Node.objects.order_by("?")[0].devices.all()))
        operator = self.scene.cast.operator
        if device.state == "quarantined":
            ask = {"actor": operator, "device": device, "reason": "quiet"}
            self.scene.call("return_device", lambda: operating.return_device(**ask))
            return
        self._planned(
            "quarantine_device", operating.quarantine_device, {"actor": operator, "device": device, "reason": "odd"}
        )

    def _planned(self, name: str, verb: Callable[..., Any], ask: dict[str, Any]) -> None:
        """As an operator does it: refused with the names, then again with a plan for each."""
        try:
            verb(**ask)
        except DomainError as error:
            hit = [each["lease"] for each in error.facts.get("leases", ())]
            if error.code != "promises" or not hit:
                self.scene.call(name, lambda: verb(**ask))
                return
            plan = {ref: self.dice.choice(["move", "end"]) for ref in hit}
            self.scene.call(name, lambda: verb(**ask, plan=plan, force=True))
            return
        except Exception as error:
            with self.scene.lock:
                self.scene.broken.append(error)
            return
        with self.scene.lock:
            self.scene.done[name] += 1

    def promise(self) -> None:
        _actor, award = self.dice.choice(self.scene.awards)
        begin = self.scene.start + self.dice.randrange(12) * HOUR
        ask = {"pool": award.pool, "organisation": award.project.organisation, "gpus": 1, "award_ref": "prop-storm"}
        self.scene.call(
            "hold",
            lambda: in_one_transaction(
                lambda: envelopes.hold(actor=SEED, starts_at=begin, ends_at=begin + 2 * HOUR, **ask)
            ),
        )


def storm(scene: Scene) -> None:
    with ThreadPoolExecutor(AT_ONCE) as crowd:
        list(crowd.map(lambda number: Writer(scene, number).run(), range(WRITERS)))


VERBS = {
    "book": "lease.book",
    "extend": "lease.extend",
    "change": "lease.change",
    "announce_maintenance": "node.announce_maintenance",
    "cancel_maintenance": "node.cancel_maintenance",
    "hold": "envelope.hold",
}


@RACE
@pytest.mark.timeout(600)
def test_a_storm_of_writers_promises_nothing_twice_and_loses_nothing() -> None:
    scene = make_scene()
    storm(scene)
    print(dict(scene.done), dict(scene.refused))
    assert not scene.broken, scene.broken[:3]
    assert not [code for code in scene.refused if code.endswith(":lost_race")], scene.refused
    assert set(VERBS) <= set(scene.done), "a storm without one of these has shown nothing of it"
    assert count(OVERLAPS) == 0
    for name, verb in VERBS.items():
        assert AuditEvent.objects.filter(verb=verb).count() == scene.done[name], f"{name}: one row each, none lost"
    assert Lease.objects.count() == scene.done["book"]
    for lease in Lease.objects.filter(state="scheduled"):
        rows = list(lease.placements.filter(released=False))
        assert len(rows) == lease.device_count
        cleaning = lease.allocation.pool.turnaround
        assert {(row.window.lower, row.window.upper) for row in rows} == {(lease.starts_at, lease.ends_at + cleaning)}
    open_leases = Placement.objects.filter(released=False, lease__isnull=False)
    assert set(open_leases.values_list("lease__state", flat=True)) <= {"scheduled"}
    faults = list(ledger_faults())
    assert not faults, "\n".join(map(str, faults))


@RACE
def test_control_without_the_constraint_and_the_look_after_the_lock_slices_are_promised_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two organisations want six of ten GPUs for the same hour: both have chosen before either writes."""
    scene = make_scene()
    both_chose = threading.Barrier(2)
    definitions = _drop(("no_device_slice_promised_twice", "one_organisation_on_a_node"))
    monkeypatch.setattr(placing, "lock", _unlocked)
    monkeypatch.setattr(placing, "check_free", lambda *_args, **_kwargs: both_chose.wait(30) and None)
    rivals = [award for award in scene.awards if award[1].pool == scene.pools[0]]

    def book(rival: tuple[Any, Allocation]) -> None:
        ask = {"actor": rival[0], "allocation": rival[1], "device_count": 6}
        window = {"starts_at": scene.start, "ends_at": scene.start + HOUR}
        try:
            scene.call("book", lambda: booking.book(**ask, **window))
        finally:
            connections.close_all()

    try:
        with ThreadPoolExecutor(2) as crowd:
            list(crowd.map(book, rivals))
        assert not scene.broken and scene.done["book"] == 2, (scene.broken, scene.refused)
        assert count(OVERLAPS) >= 2
    finally:
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE allocations_placement")
            for name, definition in definitions.items():
                cursor.execute(f"ALTER TABLE allocations_placement ADD CONSTRAINT {name} {definition}")


def _drop(names: tuple[str, ...]) -> dict[str, str]:
    found = {}
    with connection.cursor() as cursor:
        for name in names:
            cursor.execute("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", [name])
            found[name] = cursor.fetchone()[0]
            cursor.execute(f"ALTER TABLE allocations_placement DROP CONSTRAINT {name}")
    return found


def _unlocked(device_ids: Any, **_kwargs: Any) -> list[Any]:
    from cluster.models import Device

    return list(Device.objects.select_related("gpu_class", "node").filter(pk__in=list(device_ids)).order_by("pk"))


SPENDERS = 8


def _spend_the_last_hours(scene: Scene) -> Allocation:
    """Eight people spend the last four GPU-hours of one award at once, an hour each; how it stands then."""
    poor = AllocationFactory(project=scene.cast.project, pool=scene.pools[0], awarded_gpu_seconds=4 * 3600)

    def spend(number: int) -> None:
        begin = scene.start + 2 * number * HOUR  # on GPUs that nobody else wants then: only the hours are short
        window = {"starts_at": begin, "ends_at": begin + HOUR}
        try:
            ask = {"actor": scene.cast.owner, "allocation": poor, "device_count": 1, **window}
            scene.call("book", lambda: booking.book(**ask))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(SPENDERS) as crowd:
        list(crowd.map(spend, range(SPENDERS)))
    return poor


@RACE
def test_the_last_hours_are_spent_once() -> None:
    scene = make_scene()
    assert balance(_spend_the_last_hours(scene)).left == 0
    assert scene.done["book"] == 4 and scene.refused == {"book:balance": 4} and not scene.broken


@RACE
def test_control_without_the_lock_on_the_award_updates_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = make_scene()
    all_looked, once = threading.Barrier(SPENDERS), threading.local()
    look = checks.balance_suffices

    def unlocked(pk: int, _actor: Any = None) -> Allocation:
        rows = Allocation.objects.select_related("project__agreement", "project__organisation", "pool__gpu_class")
        return rows.get(pk=pk)

    def all_at_once(*args: Any, **kwargs: Any) -> Any:
        found = look(*args, **kwargs)
        if not hasattr(once, "looked"):  # who was beaten to a device looks again, with nobody beside
            once.looked = True
            all_looked.wait(30)
        return found

    monkeypatch.setattr(checks, "lock_allocation", unlocked)
    monkeypatch.setattr(checks, "balance_suffices", all_at_once)
    assert balance(_spend_the_last_hours(scene)).left < 0


@RACE
def test_control_inserts_without_the_ordered_lock_end_in_deadlocks() -> None:
    """Why devices are locked first: an exclusion check inserts and waits, so that two of them wait for each other."""
    with connection.cursor() as cursor:
        cursor.execute(
            'CREATE TABLE bare_placement (device_id int, "window" tstzrange, '
            'EXCLUDE USING gist (device_id WITH =, "window" WITH &&))'
        )
    seen: Counter[str] = Counter()
    one_each = threading.Barrier(2)

    def insert(devices: list[int]) -> None:
        row = "INSERT INTO bare_placement VALUES (%s, tstzrange('2027-01-01', '2027-01-02'))"
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                for device in devices:
                    cursor.execute(row, [device])
                    if device == devices[0]:
                        one_each.wait(30)
        except DatabaseError as error:
            seen[getattr(error.__cause__, "pgcode", "?")] += 1
        finally:
            connections.close_all()

    try:
        with ThreadPoolExecutor(2) as crowd:
            list(crowd.map(insert, [[0, 1], [1, 0]]))
        assert seen == {"40P01": 1}, seen
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE bare_placement")
