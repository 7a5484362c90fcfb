"""Where reservations could go instead."""

from datetime import UTC, datetime, timedelta

from allocations.shapes import ANY, Shape
from reports.elsewhere import Ground, Spot, Stay, Taken, first_gap, homeless

T0 = datetime(2027, 1, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
SPOTS = tuple(Spot(node * 10 + index, node, index) for node in (1, 2) for index in range(2))
ME, OTHER = 1, 2


def stay(ref: str = "lease-a", count: int = 1, layout: Shape = ANY, devices: tuple[int, ...] = (10,)) -> Stay:
    return Stay(ref, ME, count, layout, T0, T0 + 2 * HOUR, frozenset(devices))


def taken(device: int, start: int, end: int, tenant: int = ME, shared: bool = True, holder: str = "lease-x") -> Taken:
    return Taken(device, device // 10, T0 + start * HOUR, T0 + end * HOUR, tenant, shared, holder)


def test_a_reservation_moves_to_a_free_device_and_not_to_a_taken_one() -> None:
    assert homeless([stay()], Ground(SPOTS, (taken(20, 0, 2), taken(21, 0, 2))), {10, 11}) != []
    assert homeless([stay()], Ground(SPOTS, (taken(20, 0, 2), taken(21, 2, 3))), {10, 11}) == []


def test_two_reservations_do_not_get_the_same_device() -> None:
    both = [stay("lease-a", devices=(10,)), stay("lease-b", devices=(11,)), stay("lease-c", devices=(12,))]
    assert [row.ref for row in homeless(both[:2], Ground(SPOTS, ()), {10, 11})] == []
    ground = Ground(SPOTS, (taken(21, 0, 1),))
    assert [row.ref for row in homeless(both[:2], ground, {10, 11})] == ["lease-b"]


def test_a_node_that_is_lent_whole_to_others_is_no_place() -> None:
    assert homeless([stay()], Ground(SPOTS, (taken(20, 0, 1, OTHER, shared=False),)), {10, 11}) != []
    assert homeless([stay()], Ground(SPOTS, (taken(20, 0, 1, ME, shared=False),)), {10, 11}) == []
    closed = Taken(0, 2, T0 + HOUR, T0 + 3 * HOUR, None, False, "")
    assert homeless([stay()], Ground(SPOTS, (closed,)), {10, 11}) != []


def test_the_shape_is_kept() -> None:
    whole = stay(count=2, layout=Shape("same_node"), devices=(10, 11))
    assert homeless([whole], Ground(SPOTS, (taken(20, 0, 1),)), {10}) != []
    assert homeless([whole], Ground(SPOTS, ()), {10}) == []


def test_the_first_start_waits_for_what_lies_there_but_not_for_itself() -> None:
    ground = Ground(SPOTS[:1], (taken(10, 0, 2, holder="lease-a"), taken(10, 3, 5)))
    assert ground.first_start(stay(), T0) == T0
    assert ground.first_start(stay(), T0 + 2 * HOUR) == T0 + 5 * HOUR
    assert Ground((), ()).first_start(stay(), T0) is None


def test_only_what_lies_on_its_devices_or_shuts_its_nodes_is_in_the_way() -> None:
    rows = (
        taken(10, 1, 3, holder="lease-b"),
        taken(20, 0, 9, OTHER, holder="lease-c"),
        taken(10, 0, 2, holder="lease-a"),
    )
    ways = Ground(SPOTS, rows).in_the_way(stay(), T0, T0 + 2 * HOUR)
    assert [row.holder for row in ways] == ["lease-b"]
    shut = Ground(SPOTS, (taken(11, 0, 1, OTHER, shared=False, holder="lease-d"),))
    assert [row.holder for row in shut.in_the_way(stay(), T0, T0 + HOUR)] == ["lease-d"]


def test_the_first_gap_is_long_enough() -> None:
    windows = [(T0 + HOUR, T0 + 2 * HOUR), (T0 + 3 * HOUR, T0 + 4 * HOUR)]
    assert first_gap(windows, HOUR, T0) == T0
    assert first_gap(windows, 2 * HOUR, T0) == T0 + 4 * HOUR
    assert first_gap([(T0, datetime.max.replace(tzinfo=UTC))], HOUR, T0) is None
