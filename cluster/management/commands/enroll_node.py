"""`manage.py enroll_node NAME --pool POOL --token-file F`: makes a node known and writes its token, once."""

import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import IntegrityError, transaction

from cluster.models import Pool
from cluster.services.nodes import register_node
from common.actors import SystemActor


class Command(BaseCommand):
    help = "Enrols a node. The token is written to a file of mode 0600 and kept here only as a hash."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--pool", required=True)
        parser.add_argument("--token-file", type=Path, required=True)
        parser.add_argument(
            "--trust-inventory",
            action="store_true",
            help="take the GPUs that it names first as they are, without an operator's confirmation on its page",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        pool = Pool.objects.filter(name=options["pool"]).first()
        if pool is None:
            known = ", ".join(Pool.objects.values_list("name", flat=True)) or "none yet"
            raise CommandError(f"no pool {options['pool']!r}; pools: {known}")
        try:
            with transaction.atomic():
                _node, token = register_node(
                    actor=SystemActor("enroll_node"),
                    name=options["name"],
                    pool=pool,
                    trust_inventory=options["trust_inventory"],
                )
                _write_secret(options["token_file"], token)
        except IntegrityError:
            raise CommandError(f"a node {options['name']!r} is already enrolled") from None
        self.stdout.write(f"node {options['name']} enrolled in {pool.name}; token in {options['token_file']}")


def _write_secret(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
