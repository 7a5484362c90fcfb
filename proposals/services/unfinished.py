"""What was typed into a page of the form and cannot be kept as what it is yet: kept as it was typed, so that nobody
loses half a line by closing a browser. It is no part of the proposal, and keeps it from being submitted.
"""

from typing import Any

from django.db import transaction

from audit.services import record
from common.permissions import require
from proposals.canonical import fingerprint
from proposals.models import Proposal
from proposals.rules import may_propose
from proposals.selectors import said, seen
from proposals.services.drafting import check_editable, lock, touch
from proposals.services.sections import Overtaken

Typed = dict[str, list[str]]
"""The fields of a page by name, with every value that was sent."""
MOST_CHARACTERS = 100_000
"""Of one page, all fields together: nobody types more, and the row stays small."""


@transaction.atomic
def keep(
    *, actor: Any, proposal: Proposal, part: str, typed: Typed, opened: str | None = None, form: str = ""
) -> Proposal:
    """Keep a page as it was typed until the next whole one of the same part is saved.

    `opened` and `form` as `sections.save_part` has them. Forbidden; WrongState once it is under review; Overtaken. More
    than MOST_CHARACTERS are not kept: what was there stays.
    """
    require(actor, may_propose, proposal.organisation)
    proposal = lock(proposal)
    check_editable(proposal)
    clean = {_clean(name): [_clean(value) for value in values] for name, values in sorted(typed.items())}
    if proposal.unfinished.get(part) == clean or _size(clean) > MOST_CHARACTERS:
        return proposal
    if opened is not None and opened != seen(proposal, part) and not (form and form == proposal.edited_form):
        raise Overtaken(proposal, said(proposal, part), said(proposal, part))
    proposal.unfinished = {**proposal.unfinished, part: clean}
    touch(proposal, actor)
    proposal.edited_form = form[:40]
    proposal.save()
    changes = {"part": part, "sha256": fingerprint(clean), "revision": proposal.revision}
    record(actor=actor, verb="proposal.keep_unfinished", target=proposal, changes=changes)
    return proposal


def _clean(text: str) -> str:
    return text.replace("\0", "")  # the database has no room for it


def _size(typed: Typed) -> int:
    return sum(len(name) + sum(map(len, values)) for name, values in typed.items())
