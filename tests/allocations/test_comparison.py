"""Damage is laid to the right reservation: what grew between its start and its end, and nothing else."""

from allocations.comparison import compare, harm

START = {"serial": "1", "ecc_dbe_aggregate": 2, "remap_pending": False, "nvlink_recovery": None, "processes": []}


def test_grown_counters_and_new_flags_are_harm() -> None:
    end = {**START, "ecc_dbe_aggregate": 3, "remap_pending": True, "nvlink_recovery": 5}
    assert harm(START, end) == {"ecc_dbe_aggregate": [2, 3], "remap_pending": [False, True]}


def test_what_was_there_before_or_got_better_is_none() -> None:
    before = {**START, "remap_pending": True}
    assert harm(before, {**before, "remap_pending": False, "ecc_dbe_aggregate": 0}) == {}


def test_harm_needs_both_readings() -> None:
    assert harm(None, {**START, "ecc_dbe_aggregate": 9}) == {} and harm(START, None) == {}


def test_figures_stand_side_by_side_and_a_swapped_board_shows() -> None:
    rows = compare(START, {**START, "serial": "2", "processes": [{"pid": 1}]}, ("serial", "processes", "unknown"))
    assert [(row.name, row.start, row.end, row.verdict) for row in rows] == [
        ("serial", "1", "2", "changed"),
        ("processes", 0, 1, "same"),
    ]
