"""A round is released while somebody books the same GPUs: one of them has them, and the other is told."""

from datetime import timedelta
from typing import Any

from allocations.models import Lease, Pin, Placement
from allocations.selectors.availability import free_devices
from allocations.services import booking
from cluster.models import Pool
from common.errors import DomainError
from proposals.models import Decision, PreparedDecision, Proposal
from proposals.services import preparing, releasing
from tests.concurrency.test_booking_race import RACE
from tests.concurrency.test_operators_race import race
from tests.factories.allocations import rival_award
from tests.proposals.stage import make_stage

ALL = 8
"""GPUs of the pool: the award guarantees every one of them."""


@RACE
def test_what_a_release_guarantees_and_what_is_booked_meanwhile_never_both_stand() -> None:
    stage = make_stage()
    Pool.objects.update(shared_nodes=True, overcommit_percent=1_000)
    stage.pool.refresh_from_db()
    officer, rival = stage.cast.officer, rival_award(stage.cast, stage.pool)
    proposals = [stage.submitted(stage.line(gpus=gpus)) for gpus in (2, ALL - 2)]
    prepared = [
        preparing.prepare(
            actor=officer,
            proposal=proposal,
            kind="award",
            lines=[stage.ask(proposal, guaranteed_gpus=proposal.lines.get().gpus)],
        )
        for proposal in proposals
    ]
    start = stage.ask(proposals[0]).window_from + timedelta(days=2)
    end = start + timedelta(hours=1)

    def release() -> Any:
        return releasing.release(actor=officer, prepared=prepared)

    def book() -> Any:
        return booking.book(actor=stage.cast.outsider, allocation=rival, device_count=2, starts_at=start, ends_at=end)

    # The control: each of them, looking before the other has written, finds room for itself.
    assert all(outcome.error is None for outcome in releasing.trial(actor=officer, prepared=prepared))
    assert len(free_devices(stage.pool, start, end)) >= 2

    results = race(release, book)
    refused = [result for result in results if isinstance(result, DomainError)]
    assert len(refused) == 1 and not any(isinstance(r, Exception) for r in results if r not in refused), results
    released, booked = Decision.objects.count(), Lease.objects.count()
    assert (released, booked) in {(2, 0), (0, 1)}, "all of the round or none of it"
    assert set(PreparedDecision.objects.values_list("state", flat=True)) == {"released" if released else "prepared"}
    assert set(Proposal.objects.values_list("state", flat=True)) == {"awarded" if released else "submitted"}
    assert Pin.objects.count() == (ALL if released else 0)
    assert Placement.objects.filter(lease__isnull=False).count() == 2 * booked
