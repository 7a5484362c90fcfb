"""What calls cost in processor time, where seconds on the clock say more of the machine's other work."""

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cost:
    """Milliseconds: of each call on the clock; of the processor a call, in this process and in the server's process for
    its session (None where that one cannot be looked at).
    """

    took: list[float]
    web: float
    database: float | None


def cost_of(call: Callable[[], Any], times: int) -> Cost:
    """Call so often, one after the other."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        session = int(cursor.fetchone()[0])
    took, web, database = [], time.process_time(), _processor_ms(session)
    for _turn in range(times):
        begun = time.perf_counter()
        call()
        took.append((time.perf_counter() - begun) * 1000)
    used = _processor_ms(session)
    each = None if used is None or database is None else (used - database) / times
    return Cost(took, (time.process_time() - web) * 1000 / times, each)


def together(costs: Iterable[Cost]) -> Cost:
    """Of several who called as often at the same time."""
    costs = list(costs)
    servers = [each.database for each in costs if each.database is not None]
    return Cost(
        [took for each in costs for took in each.took],
        statistics.mean(each.web for each in costs),
        statistics.mean(servers) if len(servers) == len(costs) else None,
    )


def _processor_ms(process: int) -> float | None:
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e6
    except OSError:
        return None
