"""What is composed once answers as what is composed anew: every question of a booking, for arguments at random."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from allocations.models import Allocation, Envelope, Lease
from allocations.selectors import availability, balances
from allocations.services import checks, placing
from cluster.models import Device
from common.compiled import Question
from tests.allocations.conftest import Stage
from tests.factories import LeaseFactory, PoolFactory, cut, make_node
from tests.factories.allocations import PlacementFactory, rival_award

QUESTIONS = {
    f"{module.__name__}.{name}": value
    for module in (availability, balances, checks, placing)
    for name, value in vars(module).items()
    if isinstance(value, Question)
}
PROFILE = "2g.20gb"
TURNS = 20


@pytest.fixture
def world(stage: Stage) -> Stage:
    """Two pools, two organisations; GPUs whole and cut; leases in many states, envelopes, placements here and there."""
    stage.proved = False
    second = PoolFactory(shared_nodes=True)
    make_node(second, 4)
    cut(stage.big.devices.get(index=0, parent=None), PROFILE, PROFILE)
    awards = [stage.allocation, rival_award(stage.cast, stage.pool), rival_award(stage.cast, second)]
    devices = {pool: list(Device.objects.filter(node__pool=pool).order_by("pk")) for pool in (stage.pool, second)}
    for number in range(36):
        award, start = awards[number % 3], stage.now + timedelta(hours=number // 3)
        lease = LeaseFactory(
            allocation=award,
            booked_by=stage.cast.owner,
            state=("scheduled", "active", "draining", "ended")[number % 4],
            device_count=1,
            starts_at=start,
            ends_at=start + timedelta(hours=1),  # one after the other: whatever lies on a device, no two overlap
        )
        device = devices[award.pool][(number * 5 + number // 7) % len(devices[award.pool])]
        shared = number % 3 == 2 or number % 2 == 0
        PlacementFactory(lease=lease, device=device, released=number % 9 == 0, shared=shared)
    for award in awards:
        Envelope.objects.create(
            pool=award.pool,
            organisation=award.project.organisation,
            allocation=award,
            gpus=1,
            starts_at=stage.now,
            ends_at=award.valid_until,
        )
    return stage


def _arguments(world: Stage, dice: random.Random) -> dict[str, Callable[[], Any]]:
    """By the name of a parameter, a value of it."""
    hours = sorted(dice.sample(range(12), 3))
    at = [world.now + timedelta(hours=hour) for hour in hours]
    devices = list(Device.objects.order_by("pk").values_list("pk", flat=True))
    awards = list(Allocation.objects.select_related("project").order_by("pk"))
    leases = list(Lease.objects.order_by("pk").values_list("pk", flat=True))

    def some() -> list[int]:
        return dice.sample(devices, dice.randint(0, len(devices)))

    return {
        "starts_at": lambda: at[0],
        "ends_at": lambda: at[1],
        "clean_at": lambda: at[2],
        "pool": lambda: dice.choice(awards).pool_id,
        "tenant": lambda: dice.choice(awards).project.organisation_id,
        "agreement": lambda: dice.choice(awards).project.agreement_id,
        "allocation": lambda: dice.choice(awards).pk,
        "pk": lambda: dice.choice(awards).pk,
        "actor": lambda: dice.choice([None, world.cast.owner.pk, world.cast.outsider.pk]),
        "envelope": lambda: dice.choice([None, *Envelope.objects.values_list("pk", flat=True)]),
        "but": lambda: dice.choice([None, *leases]),
        "only": lambda: dice.choice([None, some()]),
        "devices": some,
        "wanted": some,
        "together": lambda: dice.choice([None, 1, 2, 4, 8]),
        "whole_nodes": lambda: dice.random() < 0.5,
        "soon": lambda: dice.random() < 0.3,
        "wait": lambda: dice.random() < 0.5,
        "bookable": lambda: dice.random() < 0.7,
        "profile": lambda: dice.choice(["", PROFILE]),
    }


def _told(row: Any) -> Any:
    """A row as something to compare: of a model every column, and which rows were joined to it."""
    if not hasattr(row, "_meta"):
        return row
    joined = {name: value and vars(value).get("public_id") for name, value in row._state.fields_cache.items()}
    return {name: value for name, value in vars(row).items() if name[0] != "_"} | joined


@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_that_is_composed_once_answers_as_if_anew(
    world: Stage, name: str, prepared: bool, settings: Any
) -> None:
    settings.PREPARE_QUERIES = prepared
    question, dice, seen = QUESTIONS[name], random.Random(name), 0
    for _turn in range(TURNS):
        known = _arguments(world, dice)
        values = [known[each]() for each in question.values]
        shape = {each: known[each]() for each in question.shape}
        found = [_told(row) for row in question.rows(*values, **shape)]
        anew = [_told(row) for row in question.plain(*values, **shape)]
        assert sorted(found, key=repr) == sorted(anew, key=repr), (values, shape)
        seen += bool(found)
    assert seen, "nothing was there to be found"
