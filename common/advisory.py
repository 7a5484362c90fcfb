"""Advisory locks: a job that must not work twice at once asks for its number, and goes home if somebody holds it.

Each job has a number of its own (`…_LOCK`); a test holds them apart.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


def alone(number: int) -> bool:
    """Whether nobody else holds this number; until the end of the transaction nobody else will."""
    return _got("SELECT pg_try_advisory_xact_lock(%s)", number)


@contextmanager
def held(number: int) -> Iterator[bool]:
    """Whether this session got the number, which it then keeps over as many transactions as the block has."""
    mine = _got("SELECT pg_try_advisory_lock(%s)", number)
    try:
        yield mine
    finally:
        if mine:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [number])


def _got(sql: str, number: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(sql, [number])
        return bool(cursor.fetchone()[0])
