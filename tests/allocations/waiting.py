"""Entries of the wait-list, for tests."""

from datetime import timedelta
from typing import Any

from allocations.models import Allocation, Lease, WaitEntry
from allocations.selectors.offers import Wish
from allocations.services import serving, waitlist
from partners.models import Organisation
from tests.allocations.conftest import Stage
from tests.factories import AgreementFactory, AllocationFactory, MembershipFactory, ProjectFactory, UserFactory

HOUR = timedelta(hours=1)


def wish(stage: Stage, count: int = 4, smallest: int | None = None, **changes: Any) -> Wish:
    """For two hours between one and four hours from now: no two of these fit after each other."""
    facts = {"duration": 2 * HOUR, "earliest": stage.now + HOUR, "latest": stage.now + 4 * HOUR, **changes}
    return Wish(count, smallest or count, **facts)


def full(stage: Stage, count: int = 12, start: float = 0.1, hours: float = 10) -> Lease:
    """The whole pool is booked by the cast's own organisation, under an award of its own."""
    award = AllocationFactory(project=stage.cast.project, pool=stage.pool)
    return stage.book(count, start=start, hours=hours, allocation=award)


def rival(stage: Stage, **fields: Any) -> Allocation:
    """An award of another organisation on the stage's pool; `owner_of` says who may act for it."""
    agreement = AgreementFactory(ceiling_concurrent_gpus=64)
    MembershipFactory(organisation=agreement.organisation, user=UserFactory(), role="owner")
    award: Allocation = AllocationFactory(project=ProjectFactory(agreement=agreement), pool=stage.pool, **fields)
    return award


def owner_of(allocation: Allocation) -> Any:
    organisation: Organisation = allocation.project.organisation
    return organisation.memberships.get(role="owner").user


def join(
    stage: Stage, allocation: Allocation, count: int = 4, smallest: int | None = None, **changes: Any
) -> WaitEntry:
    """On the list by the verb itself; the pool must be full."""
    asked = wish(stage, count, smallest, **changes)
    return waitlist.join(actor=owner_of(allocation), allocation=allocation, wish=asked)


def wake_all() -> None:
    """What the hooks do after a commit, which a test's transaction never reaches."""
    WaitEntry.objects.filter(state="waiting").update(next_try_at="2020-01-01T00:00:00Z")


def serve(stage: Stage, after: timedelta = timedelta()) -> int:
    """The chore at this time after the stage's beginning."""
    wake_all()
    return serving.serve(stage.now + after)
