"""`manage.py verify_handover FILE`: exit 1 says what is wrong with a handover sheet."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from cluster.services.evidence import NotGenuine, verify


class Command(BaseCommand):
    help = "Holds a downloaded handover sheet against the portal's signature and its audit log."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            signed = json.loads(path.read_text())
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise CommandError(f"{path} cannot be read: {error}") from None
        try:
            entries = verify(signed)
        except NotGenuine as error:
            raise CommandError(f"{path} is not genuine: {error}", returncode=1) from None
        self.stdout.write(f"{path} is genuine: signed by this portal, {entries} entries as in the audit log")
