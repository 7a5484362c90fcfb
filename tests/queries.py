"""How many queries a page costs, once warm."""

from collections.abc import Callable
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

MOST_A_PAGE = 15


def count_queries(ask: Callable[[], Any]) -> int:
    """Queries of the second call: the first one fills what lives as long as the process (content types, templates)."""
    ask()
    with CaptureQueriesContext(connection) as captured:
        ask()
    return len(captured)


def queries_of(ask: Callable[[], Any]) -> list[str]:
    """The statements themselves, for the message of a failed count."""
    ask()
    with CaptureQueriesContext(connection) as captured:
        ask()
    return [query["sql"] for query in captured.captured_queries]
