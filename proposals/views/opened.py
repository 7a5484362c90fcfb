"""The version of a thing that a form was opened on."""

from django.http import HttpRequest


def version_of(request: HttpRequest) -> int:
    """The hidden field `version`; -1 where it is missing or no number, which is nobody's version."""
    said = request.POST.get("version", "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 9 else -1
