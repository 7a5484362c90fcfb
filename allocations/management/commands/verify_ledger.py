"""`manage.py verify_ledger`: exit 1 names everything that does not add up."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from allocations.models import Lease, LedgerEntry
from allocations.selectors.proof import ledger_faults


class Command(BaseCommand):
    help = "Holds the ledger against reservations, placements and awards; exit 1 names what does not add up."

    def handle(self, *args: Any, **options: Any) -> None:
        own_snapshot = not connection.in_atomic_block
        with transaction.atomic():
            if own_snapshot:  # bookings go on meanwhile: each is seen whole or not at all
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            faults = [str(fault) for fault in ledger_faults()]
            counts = f"{LedgerEntry.objects.count()} entries, {Lease.objects.count()} reservations"
        if faults:
            raise CommandError("the ledger does not add up:\n" + "\n".join(faults), returncode=1)
        self.stdout.write(f"the ledger adds up: {counts}")
