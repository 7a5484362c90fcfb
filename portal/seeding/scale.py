"""A deterministic synthetic programme of a stated size, written in bulk.

Rows are written past the services on purpose: a service writes one audited change, this writes 90,000 leases. What the
services guarantee is kept by construction and by the database's own constraints: windows on a device follow each other,
each ledger adds up. Leases that ended have their decided hours, of which the days are made as the portal makes them.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange, NumericRange
from django.db.models import Max

from accounts.models import User
from allocations.models import Allocation, Lease, LedgerEntry, Placement, UsageMark
from allocations.services.usage import deciding
from cluster.models import Device, GpuClass, Node, Pool
from partners.models import Agreement, Membership, Organisation
from projects.models import Project, ProjectMember
from proposals.models import Call, Proposal, RequestLine

HOUR = 3600
GPUS_PER_NODE = 8
PAST_DAYS = 400
_USAGE_HOURS = """
INSERT INTO allocations_usagehour (lease_id, device_id, hour, codes, held_seconds, used_seconds, idle_seconds,
    parked_seconds, hung_seconds, no_data_seconds, fault_seconds, maintenance_seconds, samples, energy_j, rule_version)
SELECT l.id, p.device_id, h.hour, repeat('U', minutes) || repeat('I', 60 - minutes), 3600, 60 * minutes,
       60 * (60 - minutes), 0, 0, 0, 0, 0, 360, 3600 * (70 + 7 * minutes), 1
FROM allocations_lease l
JOIN allocations_placement p ON p.lease_id = l.id
CROSS JOIN LATERAL (SELECT (l.used_seconds / 480)::int AS minutes) m
CROSS JOIN LATERAL generate_series(l.starts_at, l.ends_at - interval '1 hour', '1 hour') h (hour)
WHERE l.state = 'ended' AND l.used_seconds IS NOT NULL AND l.ends_at <= %(now)s
ON CONFLICT DO NOTHING
"""
TITLES = ("Korean LLM pretraining", "Speech synthesis", "Radiology images", "Factory vision", "Drug search", "Weather")


@dataclass(frozen=True)
class Scale:
    """How many of each."""

    projects: int
    allocations: int
    users: int
    devices: int


SCALES = {
    "S": Scale(100, 300, 300, 80),
    "M": Scale(1_000, 3_000, 3_000, 800),
    "L": Scale(10_000, 30_000, 30_000, 2_500),
}


def registration_number(serial: int) -> str:
    """The `serial`-th valid ten-digit business registration number."""
    digits = [int(char) for char in f"{100_000_000 + serial:09d}"]
    total = sum(d * w for d, w in zip(digits, (1, 3, 7, 1, 3, 7, 1, 3, 5), strict=True)) + digits[8] * 5 // 10
    return "".join(map(str, digits)) + str((10 - total % 10) % 10)


class Programme:
    """Writes one programme; `now` and `seed` decide every figure."""

    def __init__(self, scale: Scale, *, now: datetime, seed: int = 1) -> None:
        self.scale = scale
        self.now = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        self.random = random.Random(seed)
        self.offset = Organisation.objects.aggregate(last=Max("pk"))["last"] or 0

    @transaction.atomic
    def write(self) -> dict[str, int]:
        """Everything, in one transaction; the number of rows by noun."""
        self._machines()
        self._people()
        self._projects()
        self._allocations()
        leases = self._leases()
        return {
            "organisations": len(self.organisations),
            "users": len(self.users),
            "devices": len(self.devices),
            "projects": len(self.projects),
            "allocations": len(self.allocations),
            "leases": leases,
        }

    def _machines(self) -> None:
        gpu_class, _created = GpuClass.objects.get_or_create(
            code="h100-sxm-80",
            defaults={"name": "H100 SXM 80 GB", "nvml_name": "NVIDIA H100 80GB HBM3", "memory_mib": 81_559},
        )
        self.pool = Pool.objects.create(name=f"bench-{self.offset}", gpu_class=gpu_class, shared_nodes=True)
        names = range(-(-self.scale.devices // GPUS_PER_NODE))
        self.nodes = Node.objects.bulk_create(
            Node(
                name=f"bench-{self.offset}-{number:04d}",
                pool=self.pool,
                state="ready",
                token_hash=f"bench-{self.offset}-{number}",
                last_seen_at=self.now,
            )
            for number in names
        )
        self.devices = Device.objects.bulk_create(
            Device(
                node=self.nodes[number // GPUS_PER_NODE],
                uuid=f"GPU-bench-{self.offset}-{number:06d}",
                index=number % GPUS_PER_NODE,
                gpu_class=gpu_class,
                memory_mib=gpu_class.memory_mib,
                joined_at=self.now - timedelta(days=PAST_DAYS),
                # the first turn on every device runs now (_windows)
                state="in_use" if number < self.scale.allocations else "available",
            )
            for number in range(self.scale.devices)
        )

    def _people(self) -> None:
        count = max(1, self.scale.projects // 2)
        self.organisations = Organisation.objects.bulk_create(
            Organisation(
                name_ko=f"시험 기업 {self.offset}-{number:05d}",
                name_en=f"Bench company {self.offset}-{number:05d}",
                registration_number=registration_number(self.offset * 100_000 + number),
            )
            for number in range(count)
        )
        locked = make_password(None)
        self.users = User.objects.bulk_create(
            (
                User(email=f"bench-{self.offset}-{number}@example.com", name=f"Person {number}", password=locked)
                for number in range(self.scale.users)
            ),
            batch_size=5_000,
        )
        roles = (Membership.Role.OWNER, Membership.Role.MANAGER, Membership.Role.MEMBER, Membership.Role.VIEWER)
        Membership.objects.bulk_create(
            (
                Membership(organisation=self.organisations[n % count], user=user, role=roles[min(n // count, 3)])
                for n, user in enumerate(self.users)
            ),
            batch_size=5_000,
        )
        today = self.now.date()
        self.agreements = Agreement.objects.bulk_create(
            Agreement(
                organisation=organisation,
                number=f"BENCH-{self.offset}-{number:05d}",
                title="Cooperation in AI computing",
                signed_on=today - timedelta(days=200),
                valid_from=today - timedelta(days=200),
                valid_until=today + timedelta(days=165),
                agency_signatory="Head of the agency",
                partner_signatory="Chief executive",
                cooperation=["business", "data", "technology", "spread"],
                ceiling_gpu_seconds=10_000_000 * HOUR,
                ceiling_concurrent_gpus=1_000,
                gpu_classes=["h100-sxm-80"],
                state="active",
            )
            for number, organisation in enumerate(self.organisations)
        )

    def _projects(self) -> None:
        call, _created = Call.objects.get_or_create(
            title_en="Bench call",
            defaults={
                "title_ko": "시험 공모",
                "text_ko": "시험",
                "text_en": "Bench",
                "published_at": self.now - timedelta(days=200),
                "told_at": self.now - timedelta(days=200),
            },
        )
        call.pools.add(self.pool)
        first_of = {member.organisation_id: member.user for member in self._owners()}
        waiting = self.scale.projects // 9  # so that one in ten of all proposals waits in the queue
        proposals = Proposal.objects.bulk_create(
            (
                self._proposal(call, number, first_of, accepted=number < self.scale.projects)
                for number in range(self.scale.projects + waiting)
            ),
            batch_size=5_000,
        )
        RequestLine.objects.bulk_create((self._line(proposal) for proposal in proposals), batch_size=5_000)
        self.projects = Project.objects.bulk_create(
            (
                Project(
                    organisation=proposal.organisation,
                    agreement=proposal.agreement,
                    title=proposal.title,
                    proposal_ref=proposal.public_id,
                )
                for proposal in proposals[: self.scale.projects]
            ),
            batch_size=5_000,
        )
        ProjectMember.objects.bulk_create(
            (
                ProjectMember(project=project, user=first_of[project.organisation_id], is_lead=True)
                for project in self.projects
            ),
            batch_size=5_000,
        )

    def _owners(self) -> Iterable[Membership]:
        return Membership.objects.filter(
            organisation__in=[organisation.pk for organisation in self.organisations], role=Membership.Role.OWNER
        ).select_related("user")

    def _proposal(self, call: Call, number: int, first_of: dict[int, User], *, accepted: bool) -> Proposal:
        place = number % len(self.organisations)
        organisation = self.organisations[place]
        return Proposal(
            number=f"B{self.offset}-{number:06d}",
            call=call,
            organisation=organisation,
            agreement=self.agreements[place],
            created_by=first_of[organisation.pk],
            title=f"{TITLES[number % len(TITLES)]} {number}",
            purposes=["pretraining"],
            plan="Synthetic.",
            state="accepted" if accepted else "submitted",
            version=1,
            submitted_at=self.now - timedelta(days=30, minutes=number),
        )

    def _line(self, proposal: Proposal) -> RequestLine:
        return RequestLine(
            proposal=proposal,
            gpu_class=self.pool.gpu_class,
            gpus=self.random.choice((4, 8, 16, 64)),
            smallest_gpus=1,
            hours=self.random.choice((100, 240, 720)),
            window_from=self.now.date(),
            window_until=self.now.date() + timedelta(days=60),
        )

    def _allocations(self) -> None:
        self.allocations = Allocation.objects.bulk_create(
            (
                Allocation(
                    project=self.projects[number % len(self.projects)],
                    pool=self.pool,
                    asked_gpu_seconds=4_000 * HOUR,
                    asked_concurrent_gpus=8,
                    awarded_gpu_seconds=2_000 * HOUR,
                    concurrent_gpus=4,
                    valid_from=self.now - timedelta(days=100),
                    valid_until=self.now + timedelta(days=100),
                    state="active",
                )
                for number in range(self.scale.allocations)
            ),
            batch_size=5_000,
        )
        LedgerEntry.objects.bulk_create(
            (self._entry(allocation, None, "award", allocation.awarded_gpu_seconds) for allocation in self.allocations),
            batch_size=5_000,
        )

    @staticmethod
    def _entry(allocation: Allocation, lease: Lease | None, kind: str, seconds: int) -> LedgerEntry:
        return LedgerEntry(
            allocation=allocation, lease=lease, kind=kind, device_seconds=seconds, actor_label="system:seed"
        )

    def _windows(self) -> Iterator[tuple[Allocation, Device, int, datetime]]:
        """Three turns an allocation: (allocation, device, turn, start). Turns on one device follow each other."""
        queue = [0] * len(self.devices)
        for number, allocation in enumerate(self.allocations):
            place = number % len(self.devices)
            yield (
                allocation,
                self.devices[place],
                0,
                self.now - timedelta(days=60, hours=10 * (number // len(self.devices))),
            )
            for turn in (1, 2):
                start = self.now - timedelta(hours=4) + timedelta(hours=10 * queue[place])
                queue[place] += 1
                yield allocation, self.devices[place], turn, start

    def _leases(self) -> int:
        leases, devices = [], []
        for allocation, device, turn, start in self._windows():
            past, running = turn == 0, start <= self.now
            leases.append(
                Lease(
                    allocation=allocation,
                    booked_by=self.users[0],
                    device_count=1,
                    starts_at=start,
                    ends_at=start + timedelta(hours=8),
                    state="ended" if past else "active" if running else "scheduled",
                    active_at=start if past or running else None,
                    drained_at=start + timedelta(hours=8) if past else None,
                    access_gone_at=start + timedelta(hours=8) if past else None,
                    ended_at=start + timedelta(hours=8, minutes=1) if past else None,
                    end_reason="expired" if past else "",
                    used_seconds=8 * 60 * self.random.randrange(61) if past else None,
                )
            )
            devices.append(device)
        Lease.objects.bulk_create(leases, batch_size=5_000)
        self._placements(leases, devices)
        self._holds(leases)
        self._hours()
        return len(leases)

    def _hours(self) -> None:
        """What was made of the past: as many minutes of each hour were used as of the others, the rest was idle."""
        with connection.cursor() as cursor:
            cursor.execute(_USAGE_HOURS, {"now": self.now})
        deciding.make_days(self.now - timedelta(days=PAST_DAYS), self.now)
        running = self.now - timedelta(hours=4)
        UsageMark.objects.update_or_create(name="decided", defaults={"done_until": running})

    def _placements(self, leases: list[Lease], devices: list[Device]) -> None:
        whole = NumericRange(0, self.pool.gpu_class.memory_slices)
        Placement.objects.bulk_create(
            (
                Placement(
                    lease=lease,
                    device=device,
                    board=device,
                    slices=whole,
                    window=DateTimeTZRange(lease.starts_at, lease.ends_at),
                    released=lease.state == "ended",
                    node_id=device.node_id,
                    organisation_id=lease.allocation.project.organisation_id,
                    shared=self.pool.shared_nodes,
                )
                for lease, device in zip(leases, devices, strict=True)
            ),
            batch_size=5_000,
        )

    def _holds(self, leases: list[Lease]) -> None:
        entries = []
        for lease in leases:
            entries.append(self._entry(lease.allocation, lease, "hold", -8 * HOUR))
            if lease.state == "ended":
                entries.append(self._entry(lease.allocation, lease, "return", 8 * HOUR))
                entries.append(self._entry(lease.allocation, lease, "settle", -8 * HOUR))
        LedgerEntry.objects.bulk_create(entries, batch_size=5_000)
