"""What a page costs, asked of Django itself: time from request to answer, rows read, statements, bytes."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from bench.results_writer import percentile, report
from common.collecting import keep_what_is_loaded

AIM_MS = {2500: 100, 25_000: 300}
"""So long a page may take at most, by the number of devices."""
_ROWS_READ = "SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::bigint FROM pg_stat_xact_user_tables"


@dataclass(frozen=True)
class Look:
    """Of so many turns the median and the 95th percentile (ms), and what one of them read."""

    p50: float
    p95: float
    rows_read: int
    queries: int
    bytes: int
    answer: Any

    def tell(self, name: str, *, devices: int, **detail: Any) -> None:
        """One line: the p95, the rest as its detail, with whether it holds what it is to hold."""
        aim = next((most for size, most in AIM_MS.items() if devices <= size), None)
        facts: dict[str, Any] = {"p50": self.p50, "rows_read": self.rows_read, "queries": self.queries}
        if aim:
            facts |= {"aim": aim, "ok": self.p95 <= aim}
        report(name, self.p95, "ms", devices=devices, bytes=self.bytes, **facts, **detail)


def look(client: Any, urls: Iterator[str], turns: int, between: Callable[[], Any] | None = None) -> Look:
    """Ask once for nothing, then so many times; `between`: what is done after the first. SystemExit unless 200.

    Nothing is shared with the viewer before: each answer is put together anew. A file is read to its end.
    """
    from django.test import override_settings

    with override_settings(SHARED_SECONDS=0):
        _ask(client, next(urls))
        keep_what_is_loaded()  # as a web worker does at its start (portal/wsgi.py)
        if between:
            between()
        asked = [_ask(client, next(urls)) for _turn in range(turns)]
    took = [turn.ms for turn in asked]
    return Look(
        round(percentile(took, 0.5), 1),
        round(percentile(took, 0.95), 1),
        int(percentile([turn.rows for turn in asked], 0.5)),
        max(turn.queries for turn in asked),
        asked[-1].bytes,
        asked[-1].answer,
    )


class _Asked(NamedTuple):
    ms: float
    rows: int
    queries: int
    bytes: int
    answer: Any


def _ask(client: Any, url: str) -> _Asked:
    from django.db import connection, transaction

    count = _Count()
    with transaction.atomic():
        before = _rows_read()
        with connection.execute_wrapper(count):
            begun = time.perf_counter()
            answer = client.get(url)
            size = len(answer.getvalue() if answer.streaming else answer.content)
            took = 1000 * (time.perf_counter() - begun)
        rows = _rows_read() - before
    if answer.status_code != 200:
        raise SystemExit(f"{url}: {answer.status_code} {answer.headers.get('Location', '')}")
    return _Asked(took, rows, count.queries, size, answer)


def _rows_read() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(_ROWS_READ)
        return int(cursor.fetchone()[0])


class _Count:
    """Statements; the savepoints that stand for Django's own transactions are none of the page's."""

    def __init__(self) -> None:
        self.queries = 0

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.queries += not sql.startswith(("SAVEPOINT", "RELEASE SAVEPOINT"))
        return execute(sql, params, many, context)
