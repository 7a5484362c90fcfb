"""Every named route of the portal, flattened."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import URLPattern, URLResolver, get_resolver


@dataclass(frozen=True)
class Route:
    """One address: `name` with its namespace, the pattern's parameter names, whether its page has a form."""

    name: str
    parameters: frozenset[str]
    has_form: bool = False


FOREIGN = ("admin:", "account_", "mfa_", "usersessions_", "set_language", "api-schema", "api-docs")
"""Routes of libraries: Django's admin (tests/accounts), allauth, the schema."""


def routes() -> list[Route]:
    """Our own routes, sorted by name; unnamed ones as `?pattern`."""
    found = {route.name: route for route in _walk(get_resolver().url_patterns, "")}
    return sorted((r for r in found.values() if not r.name.startswith(FOREIGN)), key=lambda route: route.name)


def _walk(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[Route]:
    for entry in patterns:
        if isinstance(entry, URLResolver):
            inner = f"{prefix}{entry.namespace}:" if entry.namespace else prefix
            yield from _walk(entry.url_patterns, inner)
        else:
            name = f"{prefix}{entry.name}" if entry.name else f"?{prefix}{entry.pattern}"
            form = getattr(getattr(entry.callback, "view_class", None), "form_class", None)
            yield Route(name, frozenset(entry.pattern.converters or entry.pattern.regex.groupindex), form is not None)
