"""How many queries a page costs, once warm."""

from collections.abc import Callable
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

MOST_A_PAGE = 15


def queries_of(ask: Callable[[], Any]) -> list[str]:
    """The statements of the second call: the first one fills what lives as long as the process (content types).

    Savepoints are left out: they stand where production has the transaction itself.
    """
    ask()
    with CaptureQueriesContext(connection) as captured:
        ask()
    statements = [query["sql"] for query in captured.captured_queries]
    return [sql for sql in statements if not sql.startswith(("SAVEPOINT", "RELEASE SAVEPOINT"))]
