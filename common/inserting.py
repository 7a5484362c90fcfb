"""New rows in one statement, whose text is put together once a model and count."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, models

M = TypeVar("M", bound=models.Model)


def insert(*rows: M) -> Sequence[M]:
    """Write new rows of one model, and fill their keys in.

    What `bulk_create` does, for the paths on which composing the same INSERT anew would cost more than the database
    does: for a model whose key the database gives out, in the caller's transaction.
    """
    if not rows:
        return rows
    connection, model = connections[DEFAULT_DB_ALIAS], type(rows[0])
    fields = _fields_of(model)
    values = [each.get_db_prep_save(each.pre_save(row, True), connection) for row in rows for each in fields]
    with connection.cursor() as cursor:
        cursor.execute(_text(model, len(rows)), values)
        keys = cursor.fetchall()
    for row, (key,) in zip(rows, keys, strict=True):
        row.pk = key
        row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS
    return rows


@lru_cache
def _fields_of(model: type[models.Model]) -> tuple[Any, ...]:
    return tuple(each for each in model._meta.local_concrete_fields if not each.primary_key)


@lru_cache
def _text(model: type[models.Model], count: int) -> str:
    connection = connections[DEFAULT_DB_ALIAS]
    name, key = connection.ops.quote_name, model._meta.pk
    assert key is not None
    table, columns = name(model._meta.db_table), ", ".join(name(str(each.column)) for each in _fields_of(model))
    row = f"({', '.join(_mark(each, connection) for each in _fields_of(model))})"
    values = ", ".join([row] * count)
    return f"INSERT INTO {table} ({columns}) VALUES {values} RETURNING {name(str(key.column))}"  # noqa: S608 - of our models


def _mark(field: Any, connection: Any) -> str:
    """Ranges and arrays say what they are."""
    return str(field.get_placeholder(None, None, connection)) if hasattr(field, "get_placeholder") else "%s"
