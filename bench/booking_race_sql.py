"""The floor of the booking race: the same writers, devices and rounds in plain SQL, with nothing but the promise.

Ordered row locks and an exclusion constraint, no rules, no ledger, no audit, no mail: what PostgreSQL itself needs.
"""

import threading
import time
from typing import Any

TABLES = """
    DROP TABLE IF EXISTS bench_placement, bench_device;
    CREATE TABLE bench_device (id int PRIMARY KEY);
    CREATE TABLE bench_placement (
        device_id int NOT NULL REFERENCES bench_device, "window" tstzrange NOT NULL,
        EXCLUDE USING gist (device_id WITH =, "window" WITH &&)
    );
    INSERT INTO bench_device SELECT generate_series(1, %s);
"""
LOCK = "SELECT id FROM bench_device WHERE id = ANY(%s) ORDER BY id FOR UPDATE"
TAKE = """
    INSERT INTO bench_placement
    SELECT d, tstzrange(
        timestamptz '2030-01-01' + %s * interval '1 hour', timestamptz '2030-01-01' + %s * interval '1 hour'
    )
    FROM unnest(%s) d
"""


def race(writers: int, devices: int, rounds: int) -> tuple[int, float]:
    """(bookings that succeeded, seconds) of the plain race on the default database."""
    from django.db import IntegrityError, connection, connections, transaction

    def take(wanted: list[int], turn: int) -> int:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(LOCK, [wanted])
                cursor.execute(TAKE, [turn, turn + 1, wanted])
        except IntegrityError:
            return 0
        return 1

    won = [0] * writers
    gate = threading.Barrier(writers)

    def write(writer: int) -> None:
        order = list(range(1, devices + 1))
        wanted = order[writer:] + order[:writer]
        for turn in range(rounds):
            gate.wait(60)
            won[writer] += take(wanted, turn)
        connections.close_all()

    with connection.cursor() as cursor:
        cursor.execute(TABLES, [devices])
    threads: list[Any] = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE bench_placement, bench_device")
    return sum(won), seconds
