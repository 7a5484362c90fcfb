"""A conflict of interest takes the proposal out of the query, however it was found."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from accounts.models import User
from common.errors import Forbidden, RuleBroken
from partners.models import Relation, Shareholder
from partners.selectors import related_ids
from partners.selectors.nearness import related_to_each
from proposals.models import Assignment, Conflict, FormerEmployer, Proposal, ProposalMember
from proposals.models.reviewing import conflicted_proposals
from proposals.selectors.conflicts import facts_of
from proposals.services import assigning, declaring
from tests.factories import MembershipFactory, OrganisationFactory
from tests.proposals.jury import Jury
from tests.proposals.stage import Stage

Find = Callable[[Stage, User], Any]


def same(stage: Stage, person: User) -> None:
    MembershipFactory(organisation=stage.cast.organisation, user=person)


def group(stage: Stage, person: User) -> None:
    home, middle = OrganisationFactory(), OrganisationFactory()
    MembershipFactory(organisation=home, user=person)
    Relation.objects.create(organisation=home, other=middle, kind="group")
    Shareholder.objects.create(organisation=stage.cast.organisation, name="M", holder=middle, percent=40)


def shareholder(stage: Stage, person: User) -> None:
    Shareholder.objects.create(organisation=stage.cast.organisation, name=person.name, percent=1)


def employer(stage: Stage, person: User) -> None:
    FormerEmployer.objects.create(
        profile=person.reviewer_profile, name="업스테이지", until=date.today() - timedelta(days=900)
    )


def author(stage: Stage, person: User) -> None:
    other = stage.draft()
    Proposal.objects.filter(pk=other.pk).update(created_by=person)


def team(stage: Stage, person: User) -> None:
    member = {"place": 0, "name": "X", "email": person.email.upper(), "part": "lead"}
    ProposalMember.objects.create(proposal=stage.submitted(), **member)


def test_a_name_in_a_draft_shuts_nobody_out(jury: Jury) -> None:
    person, proposal = jury.reviewers[0], jury.at_experts()
    jury.opened(proposal, person)
    draft = jury.stage.draft()
    ProposalMember.objects.create(proposal=draft, place=0, name="X", email=person.email, part="lead")
    assert Assignment.objects.visible_to(person).exists() and not facts_of([person])[person.pk].kinds(proposal)


@pytest.mark.parametrize(
    ("find", "kind"),
    [
        (same, "organisation"),
        (group, "related"),
        (shareholder, "shareholder"),
        (employer, "employer"),
        (author, "in_call"),
        (team, "in_call"),
    ],
)
def test_what_the_data_knows_blocks_assigning_and_opening_until_it_is_waived(jury: Jury, find: Find, kind: str) -> None:
    stage, person, officer = jury.stage, jury.reviewers[0], jury.stage.cast.officer
    proposal = jury.at_experts()
    assignment = jury.opened(proposal, person)
    assert Assignment.objects.opened_to(person).get() == assignment
    find(stage, person)  # it becomes known after all was opened
    assert not Assignment.objects.visible_to(person).exists()
    assert facts_of([person])[person.pk].kinds(proposal) == [kind]
    with pytest.raises(RuleBroken) as caught:
        assigning.assign(actor=officer, proposal=proposal, reviewer=person)
    assert caught.value.facts["kinds"] == [kind]
    with pytest.raises(Forbidden):
        declaring.waive(actor=person, proposal=proposal, reviewer=person, reason="I am fair.")
    declaring.waive(actor=officer, proposal=proposal, reviewer=person, reason="No other expert; known to the panel.")
    assert Assignment.objects.opened_to(person).get() == assignment
    assert proposal not in conflicted_proposals(person)


def test_an_employment_that_is_long_over_is_none(jury: Jury) -> None:
    person = jury.reviewers[0]
    long_ago = date.today() - timedelta(days=3 * 365 + 2)
    FormerEmployer.objects.create(profile=person.reviewer_profile, name="업스테이지", until=long_ago)
    proposal = jury.at_experts()
    assert facts_of([person])[person.pk].kinds(proposal) == [] and not conflicted_proposals(person)


def test_one_and_many_are_found_alike(jury: Jury) -> None:
    """`conflicted_proposals` asks the database, `Facts.kinds` a dictionary; a proposal of another firm is clean."""
    proposal, (one, two, three) = jury.started(), jury.reviewers
    same(jury.stage, one)
    group(jury.stage, two)
    found = facts_of(jury.reviewers)
    for person in (one, two, three):
        assert bool(found[person.pk].kinds(proposal)) is conflicted_proposals(person).filter(pk=proposal.pk).exists()
    assert not found[three.pk].kinds(proposal)
    for key in (jury.stage.cast.organisation.pk, two.memberships.get().organisation_id):
        organisation = OrganisationFactory._meta.model.objects.get(pk=key)
        assert related_to_each([key])[key] == related_ids(organisation)


def test_a_declared_conflict_needs_words_and_takes_the_proposal_away(jury: Jury) -> None:
    person, proposal = jury.reviewers[0], jury.at_experts()
    assignment = jury.sent(proposal, person)[0]
    assert not Assignment.objects.opened_to(person).exists()  # nothing opens before the declaration
    with pytest.raises(RuleBroken):
        declaring.declare(actor=person, assignment=assignment, conflict=True)
    with pytest.raises(Forbidden):
        declaring.declare(actor=jury.reviewers[1], assignment=assignment, conflict=False)
    declaring.declare(actor=person, assignment=assignment, conflict=True, words="My brother leads it.")
    assert not Assignment.objects.visible_to(person).exists()
    declaring.waive(actor=jury.stage.cast.officer, proposal=proposal, reviewer=person, reason="Half-brother, abroad.")
    assert Assignment.objects.opened_to(person).get() == assignment
    assert Conflict.objects.get().words == "My brother leads it."


def test_a_returned_proposal_and_one_of_another_version_are_shut(jury: Jury) -> None:
    person, proposal = jury.reviewers[0], jury.at_experts()
    jury.opened(proposal, person)
    Proposal.objects.update(version=2)
    assert not Assignment.objects.visible_to(person).exists()
    person.role_grants.all().delete()
    Proposal.objects.update(version=1)
    assert not Assignment.objects.visible_to(User.objects.get(pk=person.pk)).exists()
