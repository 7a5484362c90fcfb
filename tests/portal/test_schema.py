"""The API describes itself without a gap."""

from io import StringIO

from django.core.management import call_command


def test_the_schema_is_valid_and_nothing_in_it_had_to_be_guessed() -> None:
    out = StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=out)
    for noun in ("agreements", "calls", "proposals", "projects", "allocations", "leases", "devices", "nodes", "audit"):
        assert f"/api/v1/{noun}/" in out.getvalue()
