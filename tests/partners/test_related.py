"""Which organisations are not independent of each other."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from partners.models import Organisation, Relation, Shareholder
from partners.selectors import related_ids, shareholder_ids, shareholder_names
from tests.factories import OrganisationFactory

pytestmark = pytest.mark.django_db


def holds(holder: Organisation, held: Organisation, percent: Any, **fields: Any) -> None:
    Shareholder.objects.create(
        organisation=held, name=holder.name_ko, holder=holder, percent=Decimal(percent), **fields
    )


def test_a_group_reaches_through_relations_and_large_holdings_but_not_through_a_fund() -> None:
    own, parent, sister, fund, other = OrganisationFactory.create_batch(5)
    Relation.objects.create(organisation=parent, other=own, kind="parent")
    holds(parent, sister, 60)
    holds(fund, own, 5)
    holds(fund, other, 5)
    assert related_ids(own) == {own.pk, parent.pk, sister.pk, fund.pk}
    assert related_ids(sister) == {own.pk, parent.pk, sister.pk}
    assert related_ids(other) == {other.pk, fund.pk}


def test_a_holder_is_known_by_the_number_that_it_registered_with_later() -> None:
    own, holder = OrganisationFactory.create_batch(2)
    row = Shareholder.objects.create(
        organisation=own, name="A", registration_number=holder.registration_number, percent=Decimal("0.5")
    )
    Shareholder.objects.create(organisation=own, name="Kim", percent=Decimal("10"))
    assert shareholder_ids(own) == {holder.pk}
    assert shareholder_names(own) == {"A", "Kim"}
    assert holder.pk in related_ids(own)
    assert own.pk in related_ids(holder)
    assert str(row) == "A 0.5 %"


def test_a_circle_of_holdings_ends() -> None:
    ring = OrganisationFactory.create_batch(3)
    for place, one in enumerate(ring):
        holds(one, ring[place - 1], 40)
    assert related_ids(ring[0]) == {one.pk for one in ring}


def test_the_database_keeps_one_relation_a_pair_and_none_with_oneself() -> None:
    one, two = OrganisationFactory.create_batch(2)
    Relation.objects.create(organisation=one, other=two, kind="group")
    for pair in ((two, one), (one, one)):
        with pytest.raises(IntegrityError), transaction.atomic():
            Relation.objects.create(organisation=pair[0], other=pair[1], kind="affiliate")
