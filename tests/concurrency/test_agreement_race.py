"""Two agreements of one organisation for the same days: one comes into force, whoever forgets to look."""

import threading
from collections.abc import Callable
from typing import Any

from django.db import IntegrityError, connection

from common.errors import RuleBroken
from partners.models import Agreement
from partners.models.agreements import IN_THE_WAY
from partners.services import agreements
from tests.concurrency.test_operators_race import RACE, race
from tests.factories import AgreementFactory, OrganisationFactory, make_cast

NAME = "one_agreement_a_day"


def drafts() -> list[Agreement]:
    """Two signed drafts of one organisation for the same days."""
    return AgreementFactory.create_batch(2, organisation=OrganisationFactory(), state="draft", signed=True)


def in_force(made: list[Agreement]) -> int:
    return Agreement.objects.filter(pk__in=[row.pk for row in made], state="active").count()


def careless(made: list[Agreement]) -> list[Callable[[], int]]:
    """Writers that look, find nothing, and write: no lock in between."""
    looked = threading.Barrier(len(made))

    def write(agreement: Agreement) -> int:
        others = Agreement.objects.filter(organisation_id=agreement.organisation_id, state__in=IN_THE_WAY)
        free = not others.exists()
        looked.wait(30)
        return Agreement.objects.filter(pk=agreement.pk).update(state="active") if free else 0

    return [lambda row=row: write(row) for row in made]  # type: ignore[misc]


@RACE
def test_of_two_agreements_for_the_same_days_one_comes_into_force() -> None:
    officer, made = make_cast().officer, drafts()

    def activate(agreement: Agreement) -> Any:
        return agreements.activate(actor=officer, agreement=agreement)

    results = race(*[lambda row=row: activate(row) for row in made])  # type: ignore[misc]
    assert sum(isinstance(result, Agreement) for result in results) == 1, results
    assert [result.code for result in results if isinstance(result, RuleBroken)] == ["terms_overlap"], results
    assert in_force(made) == 1


@RACE
def test_the_database_stops_who_looks_without_the_lock_and_without_it_both_get_in() -> None:
    made = drafts()
    results = race(*careless(made))
    stopped = [result for result in results if isinstance(result, IntegrityError)]
    assert results.count(1) == 1 and len(stopped) == 1 and NAME in str(stopped[0]), results
    assert in_force(made) == 1

    (constraint,) = (row for row in Agreement._meta.constraints if row.name == NAME)
    made = drafts()
    with connection.schema_editor() as editor:
        editor.remove_constraint(Agreement, constraint)
    try:  # the control
        assert race(*careless(made)) == [1, 1] and in_force(made) == 2
    finally:
        Agreement.objects.filter(pk=made[1].pk).update(state="draft")
        with connection.schema_editor() as editor:
            editor.add_constraint(Agreement, constraint)
