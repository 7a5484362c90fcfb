"""The verb: look at a file, and bring in all of its proposals or none."""

from datetime import datetime
from typing import IO, Any

from django.db import transaction
from django.utils import timezone

from audit.services import record_many
from cluster.models import GpuClass
from common.permissions import require
from partners.models import Membership
from proposals.canonical import fingerprint
from proposals.lifecycle import PROPOSAL
from proposals.models import Answer, Call, Proposal, ProposalMember, ProposalVersion, Question, RequestLine
from proposals.rules import may_decide
from proposals.selectors.contents import snapshot
from proposals.services.fast_lane import enter_many
from proposals.services.imports.checking import Checking, Wanted
from proposals.services.imports.problems import ImportReport
from proposals.services.imports.questions import answers_of_row, columns_of, names_of, needed_files
from proposals.services.imports.reading import read_sheet
from proposals.services.imports.telling import tell_owners
from proposals.services.numbers import following, next_number

BATCH = 500


@transaction.atomic
def import_proposals(*, actor: Any, call: Call, file: IO[bytes], size: int, dry_run: bool) -> ImportReport:
    """Look at every row of a spreadsheet; without a problem, and unless `dry_run`, make its proposals, submitted.

    A reference that the call already has is passed by, so that a file may be sent again. `size` in bytes.
    Forbidden; RuleBroken (field `file`) where the file cannot be read at all. Bad rows are in the report.
    """
    require(actor, may_decide)
    asked = list(call.questions.order_by("place"))
    questions = columns_of(asked)
    sheet = read_sheet(file, size, names_of(questions))
    call = Call.objects.select_for_update(no_key=True).get(pk=call.pk)  # one import of a call at a time
    checking = Checking(call, sheet.rows, questions)
    wanted = checking.wanted()
    problems = tuple(sorted(checking.problems, key=lambda problem: problem.row))
    saving = not problems and not dry_run
    if saving:
        _make(actor, call, wanted, checking.world.classes.values(), asked)
    return ImportReport(
        rows=len(sheet.rows),
        proposals=len(wanted) + len(checking.world.known),
        new=len(wanted),
        known=len(checking.world.known),
        problems=problems,
        ignored=sheet.ignored,
        saved=saving,
        lacking=needed_files(asked) if wanted else (),
        bad_rows=len({problem.row for problem in problems}),
    )


def _make(actor: Any, call: Call, wanted: list[Wanted], classes: Any, asked: list[Question]) -> None:
    """About fifteen statements for five hundred proposals; two more for each five hundred people who are told."""
    now = timezone.now()
    number = next_number(now) if wanted else ""
    rows = []
    for one in wanted:
        rows.append(_proposal(actor, call, one, number, now))
        number = following(number)
    Proposal.objects.bulk_create(rows, batch_size=BATCH)
    by_code = {row.code: row for row in classes}
    pairs = list(zip(rows, wanted, strict=True))
    RequestLine.objects.bulk_create((line for pair in pairs for line in _lines(*pair, by_code)), batch_size=BATCH)
    members = _team(pairs)
    ProposalMember.objects.bulk_create(members, batch_size=BATCH)
    answers = [answers_of_row(row, one.said, asked) for row, one in pairs]
    Answer.objects.bulk_create((answer for each in answers for answer in each), batch_size=BATCH)
    versions = (_version(actor, *pair, each) for pair, each in zip(pairs, answers, strict=True))
    ProposalVersion.objects.bulk_create(versions, batch_size=BATCH)
    enter_many((row, one.gpu_seconds) for row, one in pairs)
    record_many(actor=actor, verb="proposal.import", changed=[(row, _changes(row)) for row in rows])
    tell_owners(call, rows, asked)


def _proposal(actor: Any, call: Call, one: Wanted, number: str, now: datetime) -> Proposal:
    said = one.said
    return Proposal(
        number=number,
        call=call,
        organisation=said["organisation"],
        agreement=said["agreement"],
        created_by=actor,
        edited_by=actor,
        edited_at=now,
        title=said["title"],
        purposes=said["purposes"],
        plan=said["plan"],
        data=said["data"],
        state=PROPOSAL.next(PROPOSAL.initial, "submit"),
        version=1,
        revision=1,
        submitted_at=said["submitted_at"] or now,
        external_ref=said["reference"],
    )


def _lines(proposal: Proposal, one: Wanted, classes: dict[str, GpuClass]) -> list[RequestLine]:
    return [
        RequestLine(proposal=proposal, **{**vars(line), "gpu_class": classes[line.gpu_class]})
        for _row, line in one.lines
    ]


def _team(pairs: list[tuple[Proposal, Wanted]]) -> list[ProposalMember]:
    """The people in charge; known as users by their address in the organisation: one query."""
    mails = {row.email for _proposal, one in pairs for row in one.team if row.email}
    people = Membership.objects.filter(user__email__in=mails).values_list("organisation_id", "user__email", "user_id")
    users = {(organisation, email): user for organisation, email, user in people}
    return [
        ProposalMember(
            proposal=proposal, place=0, user_id=users.get((proposal.organisation_id, row.email)), **vars(row)
        )
        for proposal, one in pairs
        for row in one.team
    ]


def _version(actor: Any, proposal: Proposal, one: Wanted, answers: list[Answer]) -> ProposalVersion:
    content = snapshot(proposal, _Said(one, answers))
    return ProposalVersion(
        proposal=proposal,
        version=1,
        content=content,
        sha256=fingerprint(content),
        submitted_by=actor,
        submitted_at=proposal.submitted_at or timezone.now(),
    )


class _Said:
    """A row of the file in the shape that a snapshot reads."""

    def __init__(self, one: Wanted, answers: list[Answer]) -> None:
        self.lines = [line for _row, line in one.lines]
        self.team: Any = one.team
        self.answers = answers
        self.attachments: Any = []


def _changes(row: Proposal) -> dict[str, Any]:
    return {
        "number": row.number,
        "reference": row.external_ref,
        "organisation": row.organisation.public_id,
        "agreement": row.agreement.public_id,
        "title": row.title,
    }
