"""Booking and its questions on fleets of 80 to 25,000 devices, each with 20 standing placements.

`python -m bench.booking_scale [--devices N …]` builds each fleet in a database of its own and prints one JSON object a
line: name, value, unit, detail. Bookings are whole ones, through the service and through the API with its token:
rights, rules, ledger, audit, mail, one durable commit each. They lie in the gaps between the standing placements, at
the grain of one GPU (`shared_nodes`). Questions are asked as pages and services ask them; for each the rows and the
pages of the database that its statements touch are read off EXPLAIN, so that growth is visible where seconds are noisy.
"""

import argparse
import itertools
import json
import multiprocessing
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from bench.cpu import Cost, cost_of, together
from bench.partner import make_allocation, make_partner
from bench.results_writer import percentile, report
from bench.servers import django_on_servers

SIZES = (80, 800, 2_500, 25_000)
STANDING_AT = {2_500: (0, 4, 20)}
"""Standing placements a device; at 2,500 devices none, 10,000 and 50,000 in all."""
A_NODE = 8
STANDING = 20
PAGE_BYTES = 8_192
WEEK, DAY, HOUR = timedelta(days=7), timedelta(days=1), timedelta(hours=1)
LENGTH = timedelta(hours=5, minutes=50)
"""Of a booking; the cleaning of ten minutes follows."""
BOOKINGS, CLIENTS = 80, 8


def _fleet(size: int) -> Any:
    from cluster.models import Device, GpuClass, Node, Pool

    tag = f"scale-{size}-{secrets.token_hex(3)}"
    gpu_class, _new = GpuClass.objects.get_or_create(
        code="bench-scale", defaults={"name": "Scale", "nvml_name": "Scale", "memory_mib": 1024}
    )
    pool = Pool.objects.create(name=tag, gpu_class=gpu_class, shared_nodes=True)
    nodes = Node.objects.bulk_create(
        Node(name=f"{tag}-{at:05}", pool=pool, token_hash=secrets.token_hex(16), state="ready")
        for at in range((size + A_NODE - 1) // A_NODE)
    )
    Device.objects.bulk_create(
        (
            Device(
                node=nodes[at // A_NODE],
                uuid=f"GPU-{tag}-{at}",
                index=at % A_NODE,
                gpu_class=gpu_class,
                memory_mib=1024,
                state="available",
            )
            for at in range(size)
        ),
        batch_size=2_000,
    )
    return pool


def _stand(pool: Any, count: int, start: datetime) -> None:
    """`count` placements on each device, two days of every week, begun on another day for each node."""
    from django.db.backends.postgresql.psycopg_any import DateTimeTZRange, NumericRange

    from allocations.models import Lease, Placement
    from cluster.models import Device

    user, agreement = make_partner(f"standing-{pool.name}", [pool.gpu_class.code])
    allocation = make_allocation(agreement, pool, 1_000_000, f"standing-{pool.name}")
    devices = list(Device.objects.filter(node__pool=pool).order_by("pk"))
    facts = {"allocation": allocation, "booked_by": user, "device_count": 1, "ends_at": start + count * WEEK}
    leases = Lease.objects.bulk_create((Lease(starts_at=start, **facts) for _device in devices), batch_size=2_000)
    rows = (
        Placement(
            lease=lease,
            device=device,
            board=device,
            slices=NumericRange(0, 8),
            window=DateTimeTZRange(begin, begin + 2 * DAY),
            node_id=device.node_id,
            organisation_id=agreement.organisation_id,
            shared=True,
        )
        for lease, device in zip(leases, devices, strict=True)
        for begin in (start + turn * WEEK + (device.node_id % 4) * DAY for turn in range(count))
    )
    while batch := list(itertools.islice(rows, 5_000)):
        Placement.objects.bulk_create(batch)


def _timed(call: Callable[[], Any], times: int) -> list[float]:
    """Milliseconds of each call."""
    took = []
    for _turn in range(times):
        begun = time.perf_counter()
        call()
        took.append((time.perf_counter() - begun) * 1000)
    return took


def _asks(start: datetime) -> Iterator[tuple[datetime, int]]:
    """Windows of six hours one after the other, of one GPU and of four in turn."""
    for turn in itertools.count():
        yield start + turn * 6 * HOUR, (1, 4)[turn % 2]


def _asks_beside(start: datetime, node_id: int) -> Iterator[tuple[datetime, int]]:
    """The same, in those four days of each week in which the standing placements leave a node free."""
    for begin, count in _asks(start):
        if (begin - start) % WEEK < 4 * DAY:
            yield begin + (node_id % 4 + 3) * DAY, count


def _book(user: Any, allocation: Any, asks: Iterator[tuple[datetime, int]], devices: Any = None) -> None:
    from allocations.services.booking import book

    begin, count = next(asks)
    named = None if devices is None else devices[:count]
    book(
        actor=user,
        allocation=allocation,
        device_count=count,
        starts_at=begin,
        ends_at=begin + LENGTH,
        devices=named,
    )


def _asker(user: Any, allocation: Any) -> Callable[[datetime, int], None]:
    """Book over HTTP's own way in: token, throttles, serializer, service, answer."""
    from rest_framework.test import APIClient

    from accounts.services import create_api_token

    _row, secret = create_api_token(actor=user, name="bench", days=1)
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {secret}")

    def ask(begin: datetime, count: int) -> None:
        body = {
            "allocation": allocation.public_id,
            "device_count": count,
            "starts_at": begin.isoformat(),
            "ends_at": (begin + LENGTH).isoformat(),
        }
        answer = client.post("/api/v1/leases/", body, format="json")
        assert answer.status_code == 201, answer.content

    return ask


def _client(user: Any, allocation: Any, start: datetime, api: bool, results: Any) -> None:
    from django.db import connections

    connections.close_all()  # the parent's, shared by the fork
    asks = _asks(start)
    if api:
        ask = _asker(user, allocation)
        results.put(cost_of(lambda: ask(*next(asks)), BOOKINGS // 2))
    else:
        results.put(cost_of(lambda: _book(user, allocation, asks), BOOKINGS // 2))
    connections.close_all()


def _eight(users: list[Any], allocations: list[Any], start: datetime, *, api: bool = False) -> tuple[Cost, float]:
    from django.db import connections

    connections.close_all()
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    workers = [
        context.Process(target=_client, args=(users[client], allocations[client], start, api, results))
        for client in range(CLIENTS)
    ]
    begun = time.perf_counter()
    for worker in workers:
        worker.start()
    cost = together(results.get(timeout=300) for _worker in workers)
    rate = len(cost.took) / (time.perf_counter() - begun)
    for worker in workers:
        worker.join(60)
    return cost, rate


def _statements(call: Callable[[], Any]) -> int:
    return len(_captured(call))


def _captured(call: Callable[[], Any]) -> list[str]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        call()
    quiet = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT", "ROLLBACK")
    return [query["sql"] for query in captured if not query["sql"].startswith(quiet)]


def _touched(call: Callable[[], Any]) -> tuple[int, int, int]:
    """(statements, rows that their scans read, bytes of database pages that they touched), off EXPLAIN ANALYZE."""
    from django.db import connection

    statements = _captured(call)
    rows = pages = 0
    for statement in statements:
        if not statement.lstrip("( \n").startswith(("SELECT", "WITH")):
            continue
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}".replace("%", "%%"), [])
            found = cursor.fetchone()[0]
        plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
        pages += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        rows += _scanned(plan)
    return len(statements), rows, pages * PAGE_BYTES


def _scanned(plan: dict[str, Any]) -> int:
    own = plan["Actual Rows"] * plan["Actual Loops"] if "Scan" in plan["Node Type"] else 0
    return round(own) + sum(_scanned(child) for child in plan.get("Plans", ()))


def _say(name: str, cost: Cost, rate: float | None = None, **detail: Any) -> None:
    report(f"booking_scale.{name}.p50", round(statistics.median(cost.took), 2), "ms", **detail)
    report(f"booking_scale.{name}.p95", round(percentile(cost.took, 0.95), 2), "ms", **detail)
    each_second = rate or 1000 * len(cost.took) / sum(cost.took)
    report(f"booking_scale.{name}.rate", round(each_second, 1), "1/s", **detail)
    report(f"booking_scale.{name}.cpu_web", round(cost.web, 2), "ms a booking", **detail)
    if cost.database is not None:
        report(f"booking_scale.{name}.cpu_database", round(cost.database, 2), "ms a booking", **detail)


def _bookings(pool: Any, start: datetime, size: int, standing: int) -> None:
    from cluster.models import Device

    users, allocations = [], []
    for client in range(CLIENTS):  # each an organisation of its own: bookings under one agreement wait for each other
        user, agreement = make_partner(f"booker-{client}-{pool.name}-{standing}", [pool.gpu_class.code])
        users.append(user)
        allocations.append(make_allocation(agreement, pool, 64, f"{pool.name}-{client}"))
    user = users[0]
    detail: dict[str, Any] = {"devices": size, "standing_placements": size * standing}
    named = list(Device.objects.filter(node__pool=pool).select_related("node").order_by("-pk")[:4])
    beside = _asks_beside(start + 8 * WEEK, named[0].node_id)
    for name, devices, asks in (("chosen", None, _asks(start)), ("named", named, beside)):
        _book(user, allocations[0], asks, devices)  # the first one loads code
        _say(
            name,
            cost_of(partial(_book, user, allocations[0], asks, devices), BOOKINGS),
            **detail,
        )
    ask, asks = _asker(user, allocations[0]), _asks(start + 24 * WEEK)
    ask(*next(asks))
    _say("api", cost_of(lambda: ask(*next(asks)), BOOKINGS), **detail)
    asks = _asks(start + 16 * WEEK)
    report("booking_scale.statements", _statements(lambda: _book(user, allocations[0], asks)), "statements", **detail)
    cost, rate = _eight(users, allocations, start + 5 * WEEK)
    _say("eight_clients", cost, rate, **detail)
    cost, rate = _eight(users[:1] * CLIENTS, allocations[:1] * CLIENTS, start + 32 * WEEK)
    _say("eight_clients_of_one_agreement", cost, rate, **detail)
    cost, rate = _eight(users, allocations, start + 28 * WEEK, api=True)
    _say("eight_clients_api", cost, rate, **detail)


def _questions(pool: Any, start: datetime, size: int) -> None:
    from django.test import Client
    from django.utils import timezone

    from accounts.models import User
    from allocations.selectors.capacities import capacity
    from allocations.selectors.free_times import calendar_of
    from allocations.selectors.occupancy import by_node, occupancy
    from allocations.shapes import Shape
    from cluster.models import Node, Pool

    reader = User.objects.filter(memberships__isnull=False).earliest("pk")
    web = Client()
    web.force_login(reader)
    nodes = list(Node.objects.filter(pool=pool).order_by("name").values_list("pk", flat=True)[:200])

    def calendar() -> None:
        until = start + 92 * DAY
        by_node(occupancy(pool, start, until, reader, nodes=nodes), start, until)

    def capacity_board() -> None:
        from reports.selectors import board as capacity_of_the_fleet

        today = timezone.localdate()
        pools = list(Pool.objects.select_related("gpu_class"))
        scope = capacity_of_the_fleet.scope_of(pools, today, today + timedelta(days=365), step="day")
        capacity_of_the_fleet.board(scope, timezone.now())

    def calendar_page() -> None:
        query = {"pool": pool.public_id, "view": "quarter", "rows": "nodes", "day": start.date().isoformat()}
        assert web.get("/calendar/", query).status_code == 200

    questions = {
        "capacity_of_a_month": lambda: capacity(pool, start, start + 30 * DAY),
        "first_14_days_of_8_by_8": lambda: calendar_of(pool, start, start + 400 * DAY).starts(
            64, 14 * DAY, Shape("nodes", 8)
        ),
        "calendar_of_200_nodes_for_3_months": calendar,
        "calendar_page_of_200_nodes_for_3_months": calendar_page,
        "board_of_a_year_by_day": capacity_board,
    }
    for name, question in questions.items():
        question()
        took = _timed(question, 7)
        statements, rows, touched = _touched(question)
        detail: dict[str, Any] = {"devices": size, "statements": statements, "rows": rows, "bytes": touched}
        report(f"booking_scale.{name}.p50", round(statistics.median(took), 1), "ms", **detail)
        report(f"booking_scale.{name}.p95", round(percentile(took, 0.95), 1), "ms", **detail)


def _analyze() -> None:
    """What autovacuum would have done by itself a minute later."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")


def main() -> int:
    """Each size in a process and a database of its own, empty first and then with its standing placements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, nargs="*", default=list(SIZES))
    sizes = parser.parse_args().devices
    if len(sizes) > 1:
        each = [[sys.executable, "-m", "bench.booking_scale", "--devices", str(size)] for size in sizes]
        return sum(subprocess.run(command, check=False).returncode != 0 for command in each)
    with django_on_servers():
        from django.utils import timezone

        start = timezone.now().replace(minute=0, second=0, microsecond=0) + DAY
        for standing in STANDING_AT.get(sizes[0], (0, STANDING)):
            pool = _fleet(sizes[0])
            if standing:
                _stand(pool, standing, start)
            _analyze()
            _bookings(pool, start, sizes[0], standing)
        _questions(pool, start, sizes[0])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
