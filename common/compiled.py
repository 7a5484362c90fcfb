"""Questions that are put into words once and then asked again and again with other values.

Django composes the text of a query anew each time that it is asked; for the wide ones of a booking that takes several
times as long as the database's answer. A `Question` composes it once a process and keeps it:

    @question
    def leases_of(agreement: int, since: datetime, *, late: bool) -> QuerySet[Lease]:
        return ...

    rows = leases_of.rows(agreement.pk, since, late=True)
    same = list(leases_of.plain(agreement.pk, since, late=True))

What stands before the `*` are values: while the text is composed each of them is a placeholder (`Given`), an expression
that the ORM takes wherever it takes a value, but in Python there is nothing to compute or compare. What stands after
it, and whether a value is None, is the shape: each shape has a text of its own.

The server keeps its plan, too (PREPARE, once a connection), unless PREPARE_QUERIES is off: behind a pooler that hands
one session to many it must be.
"""

import inspect
import itertools
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Generic, ParamSpec, get_type_hints
from weakref import WeakKeyDictionary

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import connections, models
from django.db.models import Expression, Func, QuerySet
from django.db.models.expressions import BaseExpression
from django.db.models.sql.compiler import SQLCompiler
from django.db.transaction import TransactionManagementError
from psycopg2.extensions import AsIs

P = ParamSpec("P")
MOST_SHAPES = 64
"""Of one question: past that it is composed anew each time, for a value must have been declared a shape."""
_FIELDS: dict[Any, Callable[[], Any]] = {
    bool: models.BooleanField,
    int: models.BigIntegerField,
    str: models.TextField,
    datetime: models.DateTimeField,
    list[int]: lambda: ArrayField(models.BigIntegerField()),
}
_prepared: "WeakKeyDictionary[Any, set[str]]" = WeakKeyDictionary()
"""Of each session with the server, the names of what was prepared in it."""
_numbers = itertools.count(1)


class Given(Expression):
    """A value that is told when the question is asked."""

    def __init__(self, name: str, output_field: Any) -> None:
        super().__init__(output_field=output_field)
        self.name = name

    def as_sql(self, compiler: SQLCompiler, connection: Any) -> Any:
        """Itself stands among the parameters until there is a value."""
        return "%s", [self]

    def get_group_by_cols(self) -> list[Any]:
        """A constant, like `Value`: rows are not grouped by it."""
        return []


class Among(Func):
    """A condition: the column has one of these keys; as one array, however many there are."""

    template, arg_joiner = "%(expressions)s)", " = ANY("
    output_field = models.BooleanField()

    def __init__(self, column: str, keys: "BaseExpression | Iterable[int]") -> None:
        known = keys if isinstance(keys, BaseExpression) else models.Value(list(keys), _FIELDS[list[int]]())
        super().__init__(column, known)


class _Composed:
    """One shape of a question: its text, and what the ORM knows about the columns of the answer."""

    def __init__(self, name: str, rows: QuerySet[Any]) -> None:
        self.name, self.rows = name, rows
        self.compiler = rows.query.get_compiler(rows.db)
        self.text, parameters = self.compiler.as_sql()
        self.parameters = tuple(parameters)
        given = {each.name: each for each in self.parameters if isinstance(each, Given)}
        self.given = tuple(given.values())
        self.converters = self.compiler.get_converters([column[0] for column in self.compiler.select])

    def asked(self, values: dict[str, Any]) -> "QuerySet[Any]":
        """The rows that answer it for these values."""
        connection = connections[self.rows.db]
        if self.rows.query.select_for_update and connection.get_autocommit():
            raise TransactionManagementError("rows are locked within a transaction")
        told = {each.name: each.output_field.get_db_prep_value(values[each.name], connection) for each in self.given}
        if settings.PREPARE_QUERIES:
            self._prepare(connection)
            marks = f"({', '.join(['%s'] * len(told))})" if told else ""
            return self._answered(f"EXECUTE {self.name}{marks}", tuple(told.values()))
        bound = tuple(told[each.name] if isinstance(each, Given) else each for each in self.parameters)
        return self._answered(self.text, bound)

    def _answered(self, text: str, parameters: tuple[Any, ...]) -> QuerySet[Any]:
        query, known = _Query(self, text, parameters), vars(self.rows)
        rows: Any = QuerySet(self.rows.model, query=query, using=self.rows.db)  # type: ignore[arg-type]
        rows._fields, rows._iterable_class = known["_fields"], known["_iterable_class"]
        return rows

    def _prepare(self, connection: Any) -> None:
        numbers = {each.name: AsIs(f"${at}") for at, each in enumerate(self.given, start=1)}
        marked = [numbers[each.name] if isinstance(each, Given) else each for each in self.parameters]
        _prepare(
            connection, self.name, [each.output_field.db_type(connection) for each in self.given], self.text, marked
        )


def _prepare(connection: Any, name: str, kinds: Iterable[Any], text: str, marked: Any) -> None:
    """Once a session; `marked`: what stands for the values in the text."""
    connection.ensure_connection()
    session = connection.connection
    known = _prepared.setdefault(session, set())
    if name in known:
        return
    said = ", ".join(str(kind) for kind in kinds)
    with connection.wrap_database_errors, session.cursor() as cursor:
        cursor.execute(f"PREPARE {name}{f'({said})' if said else ''} AS {text}", marked)
    known.add(name)


class Statement:
    """A statement in our own words that is asked as often as a question, and whose plan the server keeps as well.

    `%(name)s` stands where a value goes; `kinds` says of each what the database calls it.
    """

    def __init__(self, text: str, **kinds: str) -> None:
        self.name, self.text, self.kinds = f"statement_{next(_numbers)}", text, kinds

    def run(self, cursor: Any, **values: Any) -> None:
        """On this cursor, which then holds the answer."""
        if not settings.PREPARE_QUERIES:
            cursor.execute(self.text, values)
            return
        marked = {name: AsIs(f"${at}") for at, name in enumerate(self.kinds, start=1)}
        _prepare(cursor.db, self.name, self.kinds.values(), self.text, marked)
        cursor.execute(f"EXECUTE {self.name}({', '.join(['%s'] * len(marked))})", [values[name] for name in marked])


class _Query:
    """As much of a `Query` as Django reads when it fetches rows."""

    def __init__(self, composed: _Composed, text: str, parameters: tuple[Any, ...]) -> None:
        self._composed, self._asked = composed, (text, parameters)

    def get_compiler(self, using: str) -> SQLCompiler:
        """One that has composed already."""
        return _Compiler(self._composed, self._asked, connections[using])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._composed.rows.query, name)


class _Compiler(SQLCompiler):
    def __init__(self, composed: _Composed, asked: tuple[str, tuple[Any, ...]], connection: Any) -> None:
        self.__dict__.update(composed.compiler.__dict__, connection=connection)
        self._converters, self._asked = composed.converters, asked

    def as_sql(self, *_args: Any, **_options: Any) -> Any:
        return self._asked

    def get_converters(self, _expressions: Any) -> Any:
        return self._converters


class Question(Generic[P]):
    """A function that composes a query; see the module."""

    def __init__(self, plain: Callable[P, QuerySet[Any]]) -> None:
        self.plain = plain
        self.__doc__ = plain.__doc__
        known = inspect.signature(plain).parameters.values()
        self.values = tuple(each.name for each in known if each.kind is not each.KEYWORD_ONLY)
        self.shape = tuple(each.name for each in known if each.kind is each.KEYWORD_ONLY)
        self._composed: dict[Any, _Composed] = {}

    def rows(self, *args: P.args, **shape: P.kwargs) -> list[Any]:
        """The answer. Values by position, the shape by name."""
        values = dict(zip(self.values, args, strict=True))
        key = (*(name for name, value in values.items() if value is None), *sorted(shape.items()))
        composed = self._composed.get(key)
        if composed is None and len(self._composed) < MOST_SHAPES:
            composed = self._compose(key, values, shape)
        return list(self.plain(*args, **shape) if composed is None else composed.asked(values))

    def _compose(self, key: Any, values: dict[str, Any], shape: dict[str, Any]) -> _Composed:
        kinds = get_type_hints(self.plain)
        given = {name: None if value is None else Given(name, _field_of(kinds[name])) for name, value in values.items()}
        plain: Any = self.plain
        composed = _Composed(f"{plain.__name__.strip('_')}_{next(_numbers)}", plain(*given.values(), **shape))
        return self._composed.setdefault(key, composed)  # whoever else composed it meanwhile said the same


def question(plain: Callable[P, QuerySet[Any]]) -> Question[P]:
    """Compose the query once a shape, and ask it with `rows`; `plain` is the function as it was."""
    return Question(plain)


def _field_of(kind: Any) -> Any:
    """Of `int`, or of `int | None`."""
    found = [each for each in getattr(kind, "__args__", ()) if each in _FIELDS] if kind not in _FIELDS else [kind]
    return _FIELDS[found[0]]()
