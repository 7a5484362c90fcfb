"""The race of the bookings: 8 writers want the same 8 devices, 200 rounds, through the service.

`python -m bench.booking_race` makes its own organisation and pool, and cancels its leases at the end.
Prints one JSON object a line: name, value, unit, detail. To beat: 200 winners, 0 overlaps, 0 deadlocks. The seconds
are those of the whole service (rights, rules, ledger, audit, mail, and for seven of eight the search for the next free
window) with eight threads in one Python; beside them stands the same race in plain SQL, measured in the same run.
"""

import logging
import secrets
import sys
import threading
import time
from datetime import timedelta
from typing import Any

from bench.booking_race_sql import race as plain_race
from bench.partner import make_allocation, make_partner
from bench.results_writer import report
from bench.servers import django_on_servers

WRITERS, DEVICES, ROUNDS = 8, 8, 200


class _Deadlocks(logging.Handler):
    """Counts the warnings with which the service says that it begins again after a deadlock."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += "40P01" in record.getMessage()


def _stage() -> tuple[Any, list[Any], list[Any]]:
    from cluster.models import Device, GpuClass, Node, Pool

    tag = f"race-{secrets.token_hex(4)}"
    gpu_class, _new = GpuClass.objects.get_or_create(
        code="bench-race", defaults={"name": "Race", "nvml_name": "Race", "memory_mib": 1024}
    )
    pool = Pool.objects.create(name=tag, gpu_class=gpu_class, turnaround_seconds=0)  # the rounds touch
    node = Node.objects.create(name=tag, pool=pool, token_hash=secrets.token_hex(16), state="ready")
    devices = [
        Device.objects.create(
            node=node, uuid=f"GPU-{tag}-{index}", index=index, gpu_class=gpu_class, memory_mib=1024, state="available"
        )
        for index in range(DEVICES)
    ]
    user, agreement = make_partner(tag, [gpu_class.code])
    allocations = [make_allocation(agreement, pool, DEVICES, f"{tag}-{writer}") for writer in range(WRITERS)]
    return user, devices, allocations


def _race(user: Any, devices: list[Any], allocations: list[Any]) -> tuple[list[int], list[str], float]:
    from django.db import connections
    from django.utils import timezone

    from allocations.services.booking import book
    from common.errors import RuleBroken

    first = timezone.now() + timedelta(hours=1)
    winners, errors = [0] * ROUNDS, []
    gate = threading.Barrier(WRITERS)

    def write(writer: int) -> None:
        for turn in range(ROUNDS):
            start = first + timedelta(hours=turn)
            gate.wait(60)
            try:
                book(
                    actor=user,
                    allocation=allocations[writer],
                    device_count=DEVICES,
                    starts_at=start,
                    ends_at=start + timedelta(hours=1),
                    devices=devices[writer:] + devices[:writer],
                )
                winners[turn] += 1
            except RuleBroken:
                continue
            except Exception as error:
                errors.append(repr(error))
        connections.close_all()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return winners, errors, time.perf_counter() - began


def _overlaps(devices: list[Any]) -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM allocations_placement a JOIN allocations_placement b ON a.id < b.id "
            'AND a.device_id = b.device_id AND a."window" && b."window" AND NOT a.released AND NOT b.released '
            "WHERE a.device_id = ANY(%s)",
            [[device.pk for device in devices]],
        )
        return int(cursor.fetchone()[0])


def main() -> int:
    """Run the race and print the results; 1 unless every round had one winner and nothing overlapped."""
    with django_on_servers():
        from allocations.models import Lease
        from allocations.services.ending import cancel

        deadlocks = _Deadlocks()
        logging.getLogger("allocations.services.booking").addHandler(deadlocks)
        user, devices, allocations = _stage()
        winners, errors, seconds = _race(user, devices, allocations)
        overlaps = _overlaps(devices)
        for lease in Lease.objects.filter(allocation__in=allocations, state="scheduled"):
            cancel(actor=user, lease=lease)
        plain_winners, plain_seconds = plain_race(WRITERS, DEVICES, ROUNDS)
    detail: dict[str, Any] = {
        "writers": WRITERS,
        "devices": DEVICES,
        "rounds": ROUNDS,
        "first_error": next(iter(errors), ""),
    }
    report("booking_race.winners", sum(winners), "leases", **detail)
    report("booking_race.rounds_with_one_winner", winners.count(1), "rounds", **detail)
    report("booking_race.overlaps", overlaps, "pairs", **detail)
    report("booking_race.deadlocks", deadlocks.count, "deadlocks", **detail)
    report("booking_race.errors", len(errors), "errors", **detail)
    report("booking_race.seconds", round(seconds, 2), "s", **detail)
    report("booking_race.plain_sql_winners", plain_winners, "bookings", **detail)
    report("booking_race.plain_sql_seconds", round(plain_seconds, 2), "s", **detail)
    report("booking_race.service_to_plain_sql", round(seconds / plain_seconds, 1), "ratio", **detail)
    return int(bool(errors or overlaps) or winners.count(1) != ROUNDS)


if __name__ == "__main__":
    sys.exit(main())
