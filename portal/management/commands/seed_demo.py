"""`manage.py seed_demo --dir FOLDER [--migrate]`: the demonstration's story, its accounts, the tokens of its nodes.

`manage.py seed_demo --dir FOLDER --strand`, once the nodes have joined: the programme that is under way.
`manage.py seed_demo --dir FOLDER --course`, after that: GPUs that stand idle, once their node has handed them over.
"""

import os
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import ProgrammingError, transaction
from django.db.migrations.exceptions import InconsistentMigrationHistory
from django.utils import timezone

from cluster.models import Pool
from common.errors import DomainError
from portal.seeding.course import wait_and_tell
from portal.seeding.story import POOL, missing_nodes, tell
from portal.seeding.strand import tell_strand


class Command(BaseCommand):
    help = "Seeds the demonstration. A second run changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dir", type=Path, required=True)
        parser.add_argument("--migrate", action="store_true", help="make the tables first, in the same process")
        parser.add_argument("--strand", action="store_true", help="tell what needs the nodes' GPUs, and nothing else")
        parser.add_argument("--course", action="store_true", help="tell what follows from idle GPUs, and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path = options["dir"]
        if not folder.is_dir():
            raise CommandError(f"{folder} is not a folder")
        if options["strand"]:
            self._tell_strand()
            return
        if options["course"]:
            if not wait_and_tell(folder, self.stdout.write):
                raise CommandError("the GPUs that stand idle were not told: their node has not handed them over")
            return
        try:
            if options["migrate"]:
                call_command("migrate", interactive=False, stdout=self.stdout)
            accounts = tell(folder)
        except (InconsistentMigrationHistory, ProgrammingError) as error:
            # Nothing is deployed yet, so migrations are remade in place: an older folder cannot follow.
            raise CommandError(
                f"the database of {folder} was made by another version of this code; `make demo-reset` forgets it"
            ) from error
        names = [f"gpu-{number:02d}" for number in range(1, int(os.environ.get("NODES", "3")) + 1)]
        for name in missing_nodes(names):
            token = folder / "nodes" / name / "token"
            token.parent.mkdir(parents=True, exist_ok=True)
            with transaction.atomic():
                call_command("enroll_node", name, "--pool", POOL, "--token-file", str(token), "--trust-inventory")
        self.stdout.write(f"{len(accounts)} accounts in {folder / 'accounts.json'}, nodes {', '.join(names)}")

    def _tell_strand(self) -> None:
        try:
            done = tell_strand(Pool.objects.get(name=POOL), timezone.now())
        except DomainError as error:
            raise CommandError(f"the programme that is under way was not told: {error}") from error
        if not done.told:
            raise CommandError(f"the programme that is under way was not told: {done.why_not}")
        self.stdout.write("an organisation with awards, reservations and a place on the wait-list")
