"""`manage.py import_proposals FILE --call call-… --officer a@b.kr [--save]`: as the page does it."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from common.errors import DomainError
from proposals.models import Call
from proposals.services.imports import import_proposals


class Command(BaseCommand):
    help = "Look at a spreadsheet of proposals, row by row; with --save bring in all of them or none."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--call", required=True, help="public id of the call")
        parser.add_argument("--officer", required=True, help="e-mail address of the officer who brings them in")
        parser.add_argument("--save", action="store_true", help="without it nothing is saved")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        officer = User.objects.filter(email=options["officer"].lower()).first()
        call = Call.objects.filter(public_id=options["call"]).first()
        if officer is None or call is None or not path.is_file():
            raise CommandError("There is no such file, call or person.")
        try:
            with path.open("rb") as file:
                report = import_proposals(
                    actor=officer, call=call, file=file, size=path.stat().st_size, dry_run=not options["save"]
                )
        except DomainError as error:
            raise CommandError(str(error)) from None
        for problem in report.problems:
            self.stdout.write(
                f"row {problem.row}, {problem.column}: “{problem.value}” {problem.message} {problem.remedy}".strip()
            )
        done = "saved" if report.saved else "nothing saved"
        self.stdout.write(
            f"{report.rows} rows, {report.proposals} proposals: {report.new} new, {report.known} known, "
            f"{report.bad_rows} rows to mend; {done}"
        )
        if report.lacking:
            self.stdout.write(f"files that the call needs and a list cannot bring: {', '.join(report.lacking)}")
        if report.problems:
            raise CommandError("Rows have to be mended first.")
