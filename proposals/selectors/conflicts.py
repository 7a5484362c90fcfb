"""What the data says of many reviewers and many proposals at once; `models.reviewing.found_in_data` says it of one."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import BigIntegerField, F, Q, TextField, Value
from django.db.models.functions import Cast, Coalesce, Lower

from accounts.models import User
from partners.models import Membership, Shareholder
from partners.selectors.nearness import related_to_each
from proposals.models import Conflict, FormerEmployer, Proposal, ProposalMember
from proposals.models.reviewing import employed_since

Kind = Conflict.Kind


@dataclass
class Facts:
    """What is known of one reviewer."""

    homes: set[int] = field(default_factory=set)
    near: set[int] = field(default_factory=set)
    shares: set[int] = field(default_factory=set)
    employers: set[int] = field(default_factory=set)
    employer_names: set[str] = field(default_factory=set)
    calls: set[int] = field(default_factory=set)
    declared: set[int] = field(default_factory=set)
    waived: set[tuple[int, str]] = field(default_factory=set)

    def kinds(self, proposal: Proposal) -> list[str]:
        """What stands between this reviewer and a proposal (its organisation fetched), without what was waived."""
        organisation = proposal.organisation
        names = {organisation.name_ko, organisation.name_en}
        found = {
            Kind.DECLARED: proposal.pk in self.declared,
            Kind.ORGANISATION: organisation.pk in self.homes,
            Kind.RELATED: organisation.pk in self.near,
            Kind.SHAREHOLDER: organisation.pk in self.shares,
            Kind.EMPLOYER: organisation.pk in self.employers or bool(names & self.employer_names),
            Kind.IN_CALL: proposal.call_id in self.calls,
        }
        return [kind.value for kind, holds in found.items() if holds and (proposal.pk, kind.value) not in self.waived]


def facts_of(people: Iterable[User]) -> dict[int, Facts]:
    """By key of the person; one query however many there are, four where one of them belongs to an organisation."""
    people = list(people)
    found = {person.pk: Facts() for person in people}
    by_name: dict[str, list[int]] = {}
    for person in people:
        by_name.setdefault(person.name, []).append(person.pk)
    by_email = {person.email.lower(): person.pk for person in people}
    for about, person_pk, text, key in _rows(list(found), list(by_name), list(by_email)):
        whom: set[int | None] = {person_pk}
        if about == "share":
            whom = set(by_name[text])
        elif about == "team":
            whom.add(by_email.get(text))
        for pk in found.keys() & whom:
            _learn(found[pk], about, text, key)
    nearness = related_to_each({home for facts in found.values() for home in facts.homes})
    for facts in found.values():
        facts.near = {key for home in facts.homes for key in nearness[home]} - facts.homes
    return found


def blocked_pairs(people: Iterable[User], proposals: Iterable[Proposal]) -> dict[tuple[int, int], list[str]]:
    """(proposal, reviewer) -> the kinds of conflict that stand between them; pairs without any are left out."""
    facts, proposals = facts_of(people), list(proposals)
    pairs = {}
    for key, known in facts.items():
        for proposal in proposals:
            kinds = known.kinds(proposal)
            if kinds:
                pairs[proposal.pk, key] = kinds
    return pairs


def _rows(people: list[int], names: list[str], emails: list[str]) -> Iterable[tuple[str, int | None, str, int]]:
    """Everything in one statement: (what it is about, person, text, key)."""
    team = ProposalMember.objects.annotate(address=Lower("email")).filter(proposal__submitted_at__isnull=False)
    team = team.exclude(proposal__state="withdrawn")
    nobody = Cast(Value(None), BigIntegerField())
    parts = [
        _part("home", Membership.objects.filter(user__in=people), F("user_id"), Value(""), F("organisation_id")),
        _part("share", Shareholder.objects.filter(name__in=names), nobody, F("name"), F("organisation_id")),
        _part(
            "employer",
            FormerEmployer.objects.filter(profile__user__in=people, until__gte=employed_since()),
            F("profile__user_id"),
            F("name"),
            Coalesce("organisation_id", Cast(Value(0), BigIntegerField())),
        ),
        _part(
            "call",
            Proposal.objects.filter(created_by__in=people).exclude(state="withdrawn"),
            F("created_by_id"),
            Value(""),
            F("call_id"),
        ),
        _part(
            "team",
            team.filter(Q(user__in=people) | Q(address__in=emails)),
            F("user_id"),
            F("address"),
            F("proposal__call_id"),
        ),
        _part(
            "waived",
            Conflict.objects.filter(reviewer__in=people, waived_at__isnull=False),
            F("reviewer_id"),
            F("kind"),
            F("proposal_id"),
        ),
        _part(
            "declared",
            Conflict.objects.filter(reviewer__in=people, waived_at=None, kind=Kind.DECLARED),
            F("reviewer_id"),
            Value(""),
            F("proposal_id"),
        ),
    ]
    return parts[0].union(*parts[1:])


def _part(about: str, rows: Any, person: Any, text: Any, key: Any) -> Any:
    told = {"about": Value(about), "whom": person, "said": Cast(text, TextField()), "what": key}
    return rows.order_by().annotate(**told).values_list(*told)


def _learn(facts: Facts, about: str, text: str, key: int) -> None:
    if about == "employer":
        facts.employer_names.add(text)
        if key:
            facts.employers.add(key)
    elif about == "waived":
        facts.waived.add((key, text))
    else:
        {
            "home": facts.homes,
            "share": facts.shares,
            "call": facts.calls,
            "team": facts.calls,
            "declared": facts.declared,
        }[about].add(key)
