"""The agreement allows and refuses."""

from datetime import date, datetime
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from common.errors import RuleBroken
from partners.policy import Committed, check_active, check_ask, check_booking

SEOUL = ZoneInfo("Asia/Seoul")
AGREEMENT = SimpleNamespace(
    public_id="agr-1",
    number="MOU-1",
    state="active",
    valid_from=date(2026, 1, 1),
    valid_until=date(2026, 12, 31),
    ceiling_gpu_seconds=1_000 * 3600,
    ceiling_concurrent_gpus=8,
    gpu_classes=["h100"],
)


def ask(**changes: Any) -> None:
    fields: dict[str, Any] = {
        "gpu_class_code": "h100",
        "gpus": 4,
        "gpu_seconds": 400 * 3600,
        "window_from": date(2026, 3, 1),
        "window_until": date(2026, 3, 31),
        "committed": Committed(600 * 3600, 4),
    }
    check_ask(AGREEMENT, **{**fields, **changes})


def test_an_ask_up_to_the_very_ceiling_passes() -> None:
    ask()


@pytest.mark.parametrize(
    ("changes", "rule", "left"),
    [
        ({"gpus": 5}, "concurrent_gpus", 4),
        ({"gpu_seconds": 400 * 3600 + 1}, "gpu_hours", "400.00"),
        ({"gpu_class_code": "t4"}, "gpu_classes", None),
        ({"window_until": date(2027, 1, 1)}, "term", None),
        ({"window_from": date(2025, 12, 31)}, "term", None),
        ({"committed": Committed(2_000 * 3600, 0)}, "gpu_hours", "0.00"),
    ],
)
def test_each_ceiling_refuses_and_says_what_is_left(changes: dict[str, Any], rule: str, left: Any) -> None:
    with pytest.raises(RuleBroken) as caught:
        ask(**changes)
    assert caught.value.facts["rule"] == rule
    assert caught.value.facts.get("left") == left
    assert caught.value.remedy


def test_only_an_active_agreement_allows() -> None:
    suspended = SimpleNamespace(**{**vars(AGREEMENT), "state": "suspended"})
    with pytest.raises(RuleBroken) as caught:
        check_active(suspended, date(2026, 5, 5))
    assert caught.value.code == "agreement_not_active"


def test_a_booking_may_end_with_the_last_day_of_the_term_and_not_later() -> None:
    start, midnight = datetime(2026, 12, 31, 12, tzinfo=SEOUL), datetime(2027, 1, 1, tzinfo=SEOUL)
    check_booking(AGREEMENT, gpus=8, gpus_running_then=0, starts_at=start, ends_at=midnight)
    with pytest.raises(RuleBroken):
        late = datetime(2027, 1, 1, 0, 1, tzinfo=SEOUL)
        check_booking(AGREEMENT, gpus=8, gpus_running_then=0, starts_at=start, ends_at=late)
    with pytest.raises(RuleBroken):
        check_booking(AGREEMENT, gpus=8, gpus_running_then=1, starts_at=start, ends_at=midnight)
