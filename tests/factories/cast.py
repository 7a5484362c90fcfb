"""The cast is always the same: owner, teammate, outsider, reviewer, officer, operator, auditor."""

from dataclasses import dataclass

from accounts.models import RoleGrant, User
from partners.models import Agreement, Membership, Organisation
from projects.models import Project
from tests.factories.accounts import UserFactory, enable_mfa, save_people
from tests.factories.partners import (
    AgreementFactory,
    OrganisationFactory,
    ProjectFactory,
    ProjectMemberFactory,
)

ROLES = {"owner": "owner", "manager": "manager", "teammate": "member", "viewer": "viewer"}


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
    """The whole cast; agency accounts have their second factor. Most tests begin here: one statement for each table."""
    organisation = OrganisationFactory(name_ko="업스테이지", name_en="Upstage")
    agreement = AgreementFactory(organisation=organisation)
    project = ProjectFactory(agreement=agreement, title="Pretraining of the next Solar LLM")
    agency = ("reviewer", "officer", "operator", "auditor", "administrator")
    homes = dict.fromkeys(agency, "agency") | dict.fromkeys(ROLES, "upstage") | {"outsider": "other"}
    people = {
        name: UserFactory.build(email=f"{name}@{home}.example.test", name=name.title()) for name, home in homes.items()
    }
    save_people(people.values())
    members = [(organisation, name, role) for name, role in ROLES.items()]
    members.append((OrganisationFactory(), "outsider", Membership.Role.OWNER))
    Membership.objects.bulk_create(
        Membership(organisation=of, user=people[name], role=role) for of, name, role in members
    )
    ProjectMemberFactory(project=project, user=people["owner"], is_lead=True)
    ProjectMemberFactory(project=project, user=people["teammate"])
    RoleGrant.objects.bulk_create(RoleGrant(user=people[role], role=role) for role in agency)
    enable_mfa(*(people[role] for role in agency))
    return Cast(organisation=organisation, agreement=agreement, project=project, **people)
