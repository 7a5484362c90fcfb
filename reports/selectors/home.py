"""What a person's first page says."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, F, Max, OuterRef, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from allocations.lifecycle import HELD
from allocations.models import Allocation, Lease
from cluster.models import Device
from cluster.selectors import gpu_class_choices
from notifications.models import Notification
from partners.models import Agreement, Membership, organisation_ids_of
from partners.policy import Answer
from partners.rules import USING
from partners.selectors import none_in_force_of
from proposals.models import Decision, Proposal
from proposals.selectors.fitting import committed_by
from reports.selectors.fleet import ILL_BY_ITSELF, DeviceCounts, device_counts
from reports.selectors.home_work import Waiting, programme_work, standing_of_proposals
from usage.lifecycle import ANSWERABLE
from usage.models import IdleCase

AGREEMENTS_SHOWN = 3
ROWS_SHOWN = 6
OPEN_PROPOSALS = ("draft", "returned", "submitted", "in_review", "awarded")


@dataclass(frozen=True)
class AgreementRoom:
    """What one agreement allows and what is left, in GPU-seconds and GPUs."""

    agreement: Agreement
    awarded_gpu_seconds: int
    left_gpu_seconds: int
    concurrent_gpus: int
    left_concurrent_gpus: int
    gpu_classes: list[str]
    """Their names."""


@dataclass(frozen=True)
class PartnerHome:
    """What a partner's first page shows."""

    rooms: list[AgreementRoom]
    suspended: list[Agreement]
    """Those that stand still: nothing new comes of them until the agency resumes them."""
    ended: list[Answer]
    """Why an organisation has no agreement in force, where it had one."""
    awards: list[Proposal]
    proposals: list[Proposal]
    allocations: list[Allocation]
    leases: list[Lease]
    cases: list[IdleCase]
    """About GPUs that stand idle, and breaches: those that its people may still answer."""

    @property
    def runs(self) -> bool:
        """Whether GPUs are in use, which could stand idle."""
        return any(lease.state == "active" for lease in self.leases)

    @property
    def offers(self) -> list[Lease]:
        """Those that wait for an answer."""
        return [lease for lease in self.leases if lease.state == "offered"]


@dataclass(frozen=True)
class StaffHome:
    """What the agency's first page shows."""

    queue_length: int
    oldest_submitted_at: datetime | None
    devices: DeviceCounts
    ill: list[Device]
    awards: list[Decision]
    work: list[Waiting]

    @property
    def waiting(self) -> list[Waiting]:
        """Where something waits."""
        return [line for line in self.work if line.count]

    @property
    def quiet(self) -> list[Waiting]:
        """Where nothing does."""
        return [line for line in self.work if not line.count]


@dataclass(frozen=True)
class Notices:
    """The unread part of an inbox."""

    count: int
    rows: list[Notification]


def notices(user: Any) -> Notices:
    """The newest unread notices of this person and how many there are."""
    unread = Notification.objects.visible_to(user).filter(read_at=None)
    rows = list(unread[: ROWS_SHOWN + 1])
    count = len(rows) if len(rows) <= ROWS_SHOWN else unread.count()
    return Notices(count, rows[:ROWS_SHOWN])


def partner_home(user: Any) -> PartnerHome | None:
    """For members of a partner organisation; None for everybody else."""
    if not Membership.objects.filter(user=user).exists():
        return None
    mine = organisation_ids_of(user)
    agreements = list(
        Agreement.objects.filter(organisation_id__in=mine, state__in=("active", "suspended"))
        .select_related("organisation")
        .order_by("state", "valid_until")[:AGREEMENTS_SHOWN]
    )
    proposals = list(
        Proposal.objects.filter(organisation_id__in=mine, state__in=OPEN_PROPOSALS).order_by("-created_at")[:20]
    )
    return PartnerHome(
        rooms=_rooms([one for one in agreements if one.state == "active"]),
        suspended=[one for one in agreements if one.state == "suspended"],
        ended=[] if agreements else none_in_force_of(user),
        awards=[proposal for proposal in proposals if proposal.state == "awarded"],
        proposals=[proposal for proposal in proposals if proposal.state != "awarded"][:ROWS_SHOWN],
        allocations=list(
            Allocation.objects.filter(project__organisation_id__in=mine, state__in=("active", "pending", "exhausted"))
            .select_related("project__agreement", "pool")
            .annotate(left_seconds=Coalesce(Sum("ledger__device_seconds"), 0), usable=Exists(_using(user)))
            .order_by("valid_until")[:ROWS_SHOWN]
        ),
        leases=list(
            Lease.objects.filter(allocation__project__organisation_id__in=mine, state__in=HELD)
            .select_related("allocation__project", "allocation__pool")
            .order_by(F("offer_until").asc(nulls_last=True), "starts_at")[:ROWS_SHOWN]
        ),
        cases=list(
            IdleCase.objects.filter(lease__allocation__project__organisation_id__in=mine, state__in=ANSWERABLE)
            .select_related("lease__allocation__project", "rule")
            .order_by("due_at")[:ROWS_SHOWN]
        ),
    )


def _using(user: Any) -> QuerySet[Membership]:
    """The membership with which this person may book of an allocation (allocations.rules.may_book asks the same)."""
    organisation = OuterRef("project__organisation_id")
    return Membership.objects.filter(user=user, organisation_id=organisation, role__in=USING)


def staff_home(user: Any) -> StaffHome:
    """Queue, what of the programme waits, fleet and the latest awards."""
    queue = standing_of_proposals()
    ill = Device.objects.filter(ILL_BY_ITSELF).select_related("node", "gpu_class")
    awards = (
        Decision.objects.filter(kind=Decision.Kind.AWARD)
        .select_related("proposal__organisation")
        .annotate(gpus=Max("lines__gpus"))
        .order_by("-id")[:ROWS_SHOWN]
    )
    return StaffHome(
        queue_length=queue["waiting"],
        oldest_submitted_at=queue["oldest"],
        devices=device_counts(timezone.now()),
        ill=list(ill.order_by("node__name", "index")[:ROWS_SHOWN]),
        awards=list(awards),
        work=programme_work(user, queue),
    )


def _rooms(agreements: list[Agreement]) -> list[AgreementRoom]:
    """Ceilings less what allocations and awards that wait for an answer take, as partners.policy counts."""
    rooms = []
    taken, names = committed_by(agreements), dict(gpu_class_choices())
    for agreement in agreements:
        used = taken[agreement.pk]
        rooms.append(
            AgreementRoom(
                agreement=agreement,
                awarded_gpu_seconds=used.gpu_seconds,
                left_gpu_seconds=max(0, agreement.ceiling_gpu_seconds - used.gpu_seconds),
                concurrent_gpus=used.concurrent_gpus,
                left_concurrent_gpus=max(0, agreement.ceiling_concurrent_gpus - used.concurrent_gpus),
                gpu_classes=[names.get(code, code) for code in agreement.gpu_classes],
            )
        )
    return rooms
