"""`manage.py messages --extract|--check|--compile`: the Korean catalogue."""

import subprocess
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = "Takes new strings into locale/ko (--extract, the default), checks the catalogue, or compiles it."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_mutually_exclusive_group()
        for verb in ("extract", "check", "compile"):
            verbs.add_argument(f"--{verb}", dest="verb", action="store_const", const=verb, default="extract")

    def handle(self, *args: Any, **options: Any) -> None:
        # A process of its own: common may not import tools, and the tool needs no settings (images compile with it)
        done = subprocess.run(
            [sys.executable, "-m", "tools.catalogue", options["verb"]], cwd=settings.BASE_DIR, check=False
        )
        if done.returncode:
            raise CommandError("the Korean catalogue needs work", returncode=1)
