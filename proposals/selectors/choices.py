"""What a change of an award can be to: the other pools there are, the others who may lead."""

from typing import Any

from django.db.models import QuerySet

from accounts.models import User
from allocations.models import Allocation
from cluster.models import Pool
from partners.rules import USING


def other_pools(allocation: Allocation, user: Any) -> QuerySet[Pool]:
    """Pools that the person sees and the agreement covers, without the present one."""
    agreement = allocation.project.agreement
    pools = Pool.objects.visible_to(user).exclude(pk=allocation.pool_id)
    pools = pools.filter(gpu_class__code__in=agreement.gpu_classes)
    if agreement.pools:
        pools = pools.filter(public_id__in=agreement.pools)
    return pools.select_related("gpu_class").order_by("name")


def other_leads(allocation: Allocation) -> QuerySet[User]:
    """People of the organisation who may use GPUs, without whoever leads the project now."""
    members = User.objects.filter(
        memberships__organisation_id=allocation.project.organisation_id, memberships__role__in=USING
    )
    leads = allocation.project.team.filter(is_lead=True).values("user")
    return members.exclude(pk__in=leads).order_by("name")
