"""`manage.py seed --scale S|M|L`: a deterministic synthetic programme."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from portal.seeding.scale import SCALES, Programme


class Command(BaseCommand):
    help = "Writes a deterministic synthetic programme, for measuring. Not for a database that people use."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--scale", choices=sorted(SCALES), default="S")
        parser.add_argument("--seed", type=int, default=1)

    def handle(self, *args: Any, **options: Any) -> None:
        rows = Programme(SCALES[options["scale"]], now=timezone.now(), seed=options["seed"]).write()
        self.stdout.write(", ".join(f"{count:,} {noun}" for noun, count in rows.items()))
