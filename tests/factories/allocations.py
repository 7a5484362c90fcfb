"""Awards and bookings. For a lease with placements and ledger call the service: allocations.services.booking.book."""

from datetime import timedelta
from typing import Any

import factory
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange, NumericRange
from django.utils import timezone

from allocations.models import Allocation, Lease, LedgerEntry, Placement
from tests.factories.cluster import PoolFactory
from tests.factories.partners import AgreementFactory, ProjectFactory, ProjectMemberFactory


class AllocationFactory(factory.django.DjangoModelFactory):
    """Active, with its award in the ledger; 10,000 GPU-hours unless said otherwise."""

    class Meta:
        model = Allocation

    project = factory.SubFactory(ProjectFactory)
    pool = factory.SubFactory(PoolFactory)
    awarded_gpu_seconds = 10_000 * 3600
    asked_gpu_seconds = factory.SelfAttribute("awarded_gpu_seconds")
    concurrent_gpus = 64
    asked_concurrent_gpus = factory.SelfAttribute("concurrent_gpus")
    valid_from = factory.LazyFunction(lambda: timezone.now() - timedelta(days=1))
    valid_until = factory.LazyFunction(lambda: timezone.now() + timedelta(days=200))
    state = "active"

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> Allocation:
        allocation: Allocation = super()._create(model_class, *args, **kwargs)
        LedgerEntry.objects.create(
            allocation=allocation,
            kind=LedgerEntry.Kind.AWARD,
            device_seconds=allocation.awarded_gpu_seconds,
            actor_label="factory",
        )
        return allocation


class LeaseFactory(factory.django.DjangoModelFactory):
    """A bare row, without placements or ledger: for lists and filters."""

    class Meta:
        model = Lease

    allocation = factory.SubFactory(AllocationFactory)
    booked_by = factory.SubFactory("tests.factories.accounts.UserFactory")
    device_count = 4
    starts_at = factory.LazyFunction(lambda: timezone.now() + timedelta(hours=1))
    ends_at = factory.LazyAttribute(lambda row: row.starts_at + timedelta(hours=4))


class PlacementFactory(factory.django.DjangoModelFactory):
    """A whole GPU for the lease's window."""

    class Meta:
        model = Placement

    lease = factory.SubFactory(LeaseFactory)
    device = factory.SubFactory("tests.factories.cluster.DeviceFactory")
    board = factory.LazyAttribute(lambda row: row.device.parent or row.device)
    slices = factory.LazyAttribute(lambda row: row.device.slices or NumericRange(0, 8))
    window = factory.LazyAttribute(lambda row: DateTimeTZRange(row.lease.starts_at, row.lease.ends_at))
    node = factory.SelfAttribute("device.node")
    organisation = factory.SelfAttribute("lease.allocation.project.organisation")


def rival_award(cast: Any, pool: Any) -> Allocation:
    """An award of the outsider's organisation on a pool; the outsider leads its project."""
    organisation = cast.outsider.memberships.get().organisation
    agreement = organisation.agreements.first() or AgreementFactory(organisation=organisation)  # one a day
    project = ProjectFactory(agreement=agreement)
    ProjectMemberFactory(project=project, user=cast.outsider, is_lead=True)
    award: Allocation = AllocationFactory(project=project, pool=pool)
    return award
