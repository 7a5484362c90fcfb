"""The cast is always the same: owner, teammate, outsider, reviewer, officer, operator, auditor."""

from dataclasses import dataclass

from accounts.models import User
from partners.models import Agreement, Membership, Organisation
from projects.models import Project
from tests.factories.accounts import UserFactory, enable_mfa, grant_role
from tests.factories.partners import (
    AgreementFactory,
    MembershipFactory,
    OrganisationFactory,
    ProjectFactory,
    ProjectMemberFactory,
)


@dataclass
class Cast:
    """Owner (project lead), manager, teammate (member) and viewer belong to `organisation`; outsider to another."""

    organisation: Organisation
    agreement: Agreement
    project: Project
    owner: User
    manager: User
    teammate: User
    viewer: User
    outsider: User
    reviewer: User
    officer: User
    operator: User
    auditor: User
    administrator: User


def make_cast() -> Cast:
    """The whole cast; agency accounts have their second factor."""
    organisation = OrganisationFactory(name_ko="업스테이지", name_en="Upstage")
    agreement = AgreementFactory(organisation=organisation)
    project = ProjectFactory(agreement=agreement, title="Pretraining of the next Solar LLM")
    people = {}
    for name, role in (("owner", "owner"), ("manager", "manager"), ("teammate", "member"), ("viewer", "viewer")):
        people[name] = UserFactory(email=f"{name}@upstage.example.test", name=name.title())
        MembershipFactory(organisation=organisation, user=people[name], role=role)
    ProjectMemberFactory(project=project, user=people["owner"], is_lead=True)
    ProjectMemberFactory(project=project, user=people["teammate"])
    people["outsider"] = UserFactory(email="outsider@other.example.test", name="Outsider")
    MembershipFactory(user=people["outsider"], role=Membership.Role.OWNER)
    for role in ("reviewer", "officer", "operator", "auditor", "administrator"):
        people[role] = grant_role(UserFactory(email=f"{role}@agency.example.test", name=role.title()), role)
        enable_mfa(people[role])
    return Cast(organisation=organisation, agreement=agreement, project=project, **people)
