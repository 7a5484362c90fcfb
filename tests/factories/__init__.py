"""Rows for tests, in a state that the services themselves could have produced."""

from tests.factories.accounts import SshKeyFactory, UserFactory, enable_mfa, grant_role
from tests.factories.allocations import AllocationFactory, LeaseFactory
from tests.factories.cast import Cast, make_cast
from tests.factories.cluster import DeviceFactory, GpuClassFactory, NodeFactory, PoolFactory, cut, make_node
from tests.factories.partners import (
    AgreementFactory,
    MembershipFactory,
    OrganisationFactory,
    ProjectFactory,
    ProjectMemberFactory,
    registration_number,
)
from tests.factories.telemetry import make_sample

__all__ = [
    "AgreementFactory",
    "AllocationFactory",
    "Cast",
    "DeviceFactory",
    "GpuClassFactory",
    "LeaseFactory",
    "MembershipFactory",
    "NodeFactory",
    "OrganisationFactory",
    "PoolFactory",
    "ProjectFactory",
    "ProjectMemberFactory",
    "SshKeyFactory",
    "UserFactory",
    "cut",
    "enable_mfa",
    "grant_role",
    "make_cast",
    "make_node",
    "make_sample",
    "registration_number",
]
