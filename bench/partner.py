"""An organisation that may book as much as a benchmark likes."""

import secrets
from datetime import timedelta
from typing import Any


def make_partner(tag: str, class_codes: list[str]) -> tuple[Any, Any]:
    """(owner, active agreement with ceilings nobody reaches on these GPU classes)."""
    from django.utils import timezone

    from accounts.models import User
    from partners.models import Agreement, Membership, Organisation

    today = timezone.localdate()
    user = User.objects.create_user(f"{tag}@bench.invalid", name="Bench")
    number = str(secrets.randbelow(9 * 10**9) + 10**9)
    organisation = Organisation.objects.create(name_ko="측정", name_en="Bench", registration_number=number)
    Membership.objects.create(organisation=organisation, user=user, role="owner")
    agreement = Agreement.objects.create(
        organisation=organisation,
        number=tag.upper(),
        title="Bench",
        signed_on=today,
        valid_from=today - timedelta(days=1),
        valid_until=today + timedelta(days=365),
        ceiling_gpu_seconds=10**12,
        ceiling_concurrent_gpus=10_000,
        gpu_classes=class_codes,
        state="active",
    )
    return user, agreement


def make_allocation(agreement: Any, pool: Any, concurrent_gpus: int, ref: str) -> Any:
    """An allocation of 10^9 device-seconds for 300 days, under a project of its own."""
    from django.utils import timezone

    from allocations.services.awards import create_allocation
    from common.actors import SEED
    from projects.models import Project

    project = Project.objects.create(
        organisation=agreement.organisation, agreement=agreement, title="Bench", proposal_ref=ref
    )
    return create_allocation(
        actor=SEED,
        project=project,
        pool=pool,
        asked_gpu_seconds=10**9,
        asked_concurrent_gpus=concurrent_gpus,
        awarded_gpu_seconds=10**9,
        concurrent_gpus=concurrent_gpus,
        valid_from=timezone.now() - timedelta(hours=1),
        valid_until=timezone.now() + timedelta(days=300),
    )
