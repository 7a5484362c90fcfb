"""Two officers at one subject's rules at the same moment, and a rule that is said while people book."""

import threading
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from allocations.models import BookingRules, Lease
from allocations.selectors.rulebooks import rules_of
from allocations.services import booking
from allocations.services.rule_setting import set_rules
from common.errors import DomainError, WrongState
from tests.concurrency.test_booking_race import RACE, WRITERS, _race
from tests.factories import AllocationFactory, PoolFactory, make_cast, make_node


@RACE
def test_of_officers_at_one_moment_one_is_written_and_the_others_are_shown_it() -> None:
    cast, pool = make_cast(), PoolFactory()

    def write(number: int) -> Any:
        values = {"extensions": number + 1}
        return set_rules(actor=cast.officer, scope="pool", subject=pool, values=values, version=0, reason="race")

    answers = _race(write)
    written = [answer for answer in answers if isinstance(answer, BookingRules)]
    shown = [answer for answer in answers if isinstance(answer, WrongState)]
    assert len(written) == 1 and len(shown) == WRITERS - 1, answers
    rules = BookingRules.objects.get()
    assert rules.version == 1 and rules.extensions == written[0].extensions
    assert {error.facts["now"]["extensions"] for error in shown} == {rules.extensions}


@RACE
def test_control_without_the_lock_and_the_version_all_are_written_and_all_but_one_are_lost() -> None:
    pool = PoolFactory()
    BookingRules.objects.create(pool=pool)
    read = threading.Barrier(WRITERS)

    def write(number: int) -> Any:
        with transaction.atomic():
            rules = rules_of("pool", pool)
            read.wait(30)
            rules.extensions = number + 1
            rules.version += 1
            rules.save()
        return "written"

    assert _race(write) == ["written"] * WRITERS
    assert BookingRules.objects.get().version == 1, "as many changes as writers, and all but one are gone"


@RACE
def test_a_limit_of_reservations_ahead_holds_when_all_book_at_once() -> None:
    cast, pool = make_cast(), PoolFactory()
    make_node(pool, 8)
    allocation = AllocationFactory(project=cast.project, pool=pool)
    set_rules(
        actor=cast.officer, scope="allocation", subject=allocation, values={"future_leases": 2}, version=0, reason="r"
    )
    start = timezone.now() + timedelta(hours=2)

    def book(_number: int) -> Any:
        return booking.book(
            actor=cast.owner,
            allocation=allocation,
            device_count=1,
            starts_at=start,
            ends_at=start + timedelta(hours=1),
        )

    answers = _race(book)
    assert sum(isinstance(answer, Lease) for answer in answers) == 2, answers
    assert {answer.code for answer in answers if isinstance(answer, DomainError)} == {"future_leases"}
    assert Lease.objects.count() == 2
