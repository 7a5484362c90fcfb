"""`manage.py verify_statements`: exit 1 names every statement that is not what the portal closed."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from usage.models import Statement
from usage.services.statements import verify


class Command(BaseCommand):
    help = "Holds every monthly statement against its hash, signature, chain and the hours that it rests on."

    def handle(self, *args: Any, **options: Any) -> None:
        faults = list(verify())
        for fault in faults:
            self.stderr.write(str(fault))
        if faults:
            raise CommandError(f"{len(faults)} faults", returncode=1)
        self.stdout.write(f"{Statement.objects.count()} statements are as they were closed")
