"""`manage.py verify_audit`: exit 1 names the first broken row."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import services


class Command(BaseCommand):
    help = "Recomputes the audit chain; exit 1 names the first broken row."

    def handle(self, *args: Any, **options: Any) -> None:
        verdict = services.verify()
        if verdict.broken:
            raise CommandError(f"audit chain broken: {verdict.broken}", returncode=1)
        self.stdout.write(f"audit chain whole: {verdict.checked} sealed, {verdict.unsealed} waiting for the sealer")
