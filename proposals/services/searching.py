"""Looking for names in the files of blind calls: best effort, after they were handed in, for officers to act on.

It reads text and metadata (common/documents), never a picture; what it could not read whole it says. Nothing is refused
and nothing is changed by it: an officer who finds a name returns the proposal, or lets it be.
"""

import time

from django.db import transaction
from django.utils import timezone

from audit.services import record
from common.actors import SystemActor
from common.documents import DocumentText, text_of
from proposals.models import Attachment, ProposalVersion
from proposals.names import named_in
from proposals.selectors.reading import names_of

SEARCH = SystemActor("search for names")
SECONDS = 40
"""After so many no further file is begun; the clock comes again in a minute."""


def search_waiting(*, seconds: float = SECONDS) -> int:
    """Look into the files that nobody has looked into, the oldest first; of how many."""
    until = time.monotonic() + seconds
    waiting = Attachment.objects.in_blind_review().filter(searched_at=None).order_by("pk")
    found = 0
    for pk in list(waiting.values_list("pk", flat=True)[:200]):
        if time.monotonic() > until:
            break
        found += search(pk)
    return found


def search(pk: int) -> bool:
    """Look into one file; whether this call did it. Reading, which takes seconds, holds no lock."""
    row = Attachment.objects.select_related("proposal__organisation", "proposal__created_by").filter(pk=pk).first()
    if row is None or row.searched_at is not None:
        return False
    proposal = row.proposal
    number = proposal.organisation.registration_number
    names = [*names_of(proposal, proposal.team.all()), number, proposal.organisation.shown_registration_number]
    read = _read(row)
    return _keep(pk, named_in(read.text, names), read.whole)


def search_again(version: ProposalVersion) -> None:
    """It was handed in (anew): names may have changed since. In the transaction of the submission."""
    version.attachments.exclude(searched_at=None).update(searched_at=None, names_found=[], read_whole=False)


def _read(row: Attachment) -> DocumentText:
    try:
        with row.file.open("rb") as file:
            content = file.read()
    except OSError:
        return DocumentText("", whole=False)
    return text_of(content, row.kind)


@transaction.atomic
def _keep(pk: int, found: list[str], whole: bool) -> bool:
    rows = Attachment.objects.select_for_update(of=("self",), skip_locked=True, no_key=True)
    row = rows.filter(pk=pk, searched_at=None).select_related("proposal").first()
    if row is None:
        return False
    row.searched_at, row.names_found, row.read_whole = timezone.now(), found, whole
    row.save(update_fields=["searched_at", "names_found", "read_whole"])
    changes = {"attachment": row.public_id, "names": found, "read_whole": whole}
    record(actor=SEARCH, verb="attachment.search", target=row.proposal, changes=changes)
    return True
