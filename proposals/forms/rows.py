"""Formsets whose rows are added and removed by submit buttons, so that they work without JavaScript."""

from typing import Any

from django.http import QueryDict


def typed_rows(data: QueryDict, prefix: str, fields: tuple[str, ...], most: int) -> list[dict[str, str]]:
    """What stands in the rows of a request, unchecked, so that it can be shown again."""
    try:
        count = int(data.get(f"{prefix}-TOTAL_FORMS", "1"))
    except ValueError:
        count = 1
    places = range(min(max(count, 0), most))
    return [{name: data.get(f"{prefix}-{place}-{name}", "") for name in fields} for place in places]


def reshaped(rows: list[dict[str, str]], action: str, most: int) -> list[dict[str, Any]]:
    """The rows after the button `add_row` or `remove_row:N`; never none at all."""
    if action == "add_row":
        return [*rows, {}][:most]
    place = action.partition(":")[2]
    return [row for number, row in enumerate(rows) if str(number) != place] or [{}]
