"""Two proposals of one organisation at once, where a call takes one of each."""

from datetime import date, timedelta
from typing import Any

from django.db import transaction

from common.errors import RuleBroken
from proposals.models import Call, Proposal
from proposals.selectors.eligibility import conditions
from proposals.services import drafting
from tests.concurrency.test_booking_race import RACE
from tests.concurrency.test_promise_race import Elsewhere
from tests.concurrency.test_reconcile_race import until_somebody_waits
from tests.factories import AgreementFactory
from tests.proposals.stage import make_stage

DAY = timedelta(days=1)


def window(first: date) -> dict[str, Any]:
    """Thirty days of a request line."""
    return {"window_from": first, "window_until": first + 29 * DAY}


@RACE
def test_a_bounded_number_of_proposals_is_counted_one_after_the_other() -> None:
    """The count by itself is the control: it knows nothing of a submission that is not committed yet."""
    stage = make_stage()
    Call.objects.filter(pk=stage.call.pk).update(most_proposals=1)
    stage.call.refresh_from_db()
    first = stage.draft()
    second = stage.draft(stage.line(**window(stage.cast.agreement.valid_until + 9 * DAY)), title="Another one")
    renewed = stage.cast.agreement.valid_until + DAY
    other = AgreementFactory(
        organisation=stage.cast.organisation, valid_from=renewed, valid_until=renewed + 300 * DAY
    )  # of one agreement, its own lock would do
    Proposal.objects.filter(pk=second.pk).update(agreement=other)
    second.refresh_from_db()
    with transaction.atomic():
        drafting.submit(actor=stage.cast.owner, proposal=first)
        racing = Elsewhere(lambda: drafting.submit(actor=stage.cast.owner, proposal=second))
        until_somebody_waits(racing)
        control = Elsewhere(lambda: conditions(stage.call, stage.cast.organisation)[0].met)
        control.join(10)
    racing.join(10)
    assert control.outcome is True
    assert isinstance(racing.outcome, RuleBroken) and racing.outcome.code == "not_eligible"
