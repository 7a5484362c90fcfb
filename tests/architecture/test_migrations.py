"""What only the database itself can keep is really in it, after all migrations."""

import pytest
from django.db import DatabaseError, connection, transaction

from allocations.models import LedgerEntry
from tests.factories import AllocationFactory

pytestmark = pytest.mark.django_db
NAME = "no_device_slice_promised_twice"


def test_the_database_forbids_a_slice_to_be_promised_twice() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT contype, pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", [NAME])
        (kind, definition) = cursor.fetchone()
    assert kind == "x"
    for part in ("gist", "board_id WITH =", "slices WITH &&", '"window" WITH &&', "NOT released"):
        assert part in definition


@pytest.mark.parametrize("table", ["allocations_ledgerentry", "audit_auditevent"])
def test_append_only_tables_have_their_trigger(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_trigger "
            "WHERE tgrelid = %s::regclass AND tgname = 'append_only' AND tgenabled = 'O'",
            [table],
        )
        assert cursor.fetchone()[0] == 1


def test_the_ledger_refuses_to_be_rewritten() -> None:
    AllocationFactory()
    for rewrite in (lambda: LedgerEntry.objects.update(device_seconds=1), lambda: LedgerEntry.objects.all().delete()):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            rewrite()
    assert LedgerEntry.objects.get().device_seconds != 1
