"""How long the look at idle GPUs takes for a whole fleet: finding, following open cases, trying a rule out.

`python -m bench.idle_judgement --devices 25000 --days 31`, on a fleet with a past (bench.history). Nothing is written
by the finding and the try-out; following is measured on the cases that one finding opens.
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from bench.history import Past, fill
from bench.results_writer import percentile, report
from bench.servers import django_on_servers

TURNS = 5
TRIED_DAYS = (7, 30)
WINDOW_SECONDS = 7200
"""Of the made past one hour in four is idle, by lot: in so short a window some of each hundred GPUs are."""


def timed(ask: Callable[[], Any], turns: int = TURNS) -> tuple[float, Any]:
    """The median of so many turns in seconds, and the last answer."""
    took, answer = [], None
    for _turn in range(turns):
        begun = time.perf_counter()
        answer = ask()
        took.append(time.perf_counter() - begun)
    return percentile(took, 0.5), answer


def rule_of_the_house(officer: Any, **values: Any) -> Any:
    """A rule that is on, past the try-out: that is what is measured."""
    from django.utils import timezone

    from usage.models import IdleRule

    now = timezone.now()
    return IdleRule.objects.create(
        version=1, state="on", on_at=now, tried_at=now, made_by=officer, reason="bench", first_seconds=0, **values
    )


def measure(devices: int) -> None:
    """Report each of the three."""
    from django.urls import reverse
    from django.utils import timezone

    from accounts.models import User
    from common.errors import RuleBroken
    from usage.models import IdleCase
    from usage.selectors.finding import find_idle
    from usage.selectors.tryouts import try_out
    from usage.services import following, idle_cases

    now = timezone.now()
    reverse("usage:idle-case", args=["warm"])  # loads what the first notice would wait for
    officer = User.objects.create_user("officer@bench.invalid", name="officer")
    rule = rule_of_the_house(officer, follows="propose", window_seconds=WINDOW_SECONDS, grace_seconds=3600)
    seconds, found = timed(lambda: find_idle(now))
    report("idle.find", round(seconds, 3), "s", devices=devices, reservations=len(found))
    for days in TRIED_DAYS:
        begun = time.perf_counter()
        try:
            tried = try_out(rule, days, now)
        except RuleBroken as refusal:  # a whole fleet's month may be more than the portal looks through for anybody
            report(
                "idle.try_out",
                round(time.perf_counter() - begun, 2),
                "s",
                devices=devices,
                days=days,
                said=str(refusal),
            )
            continue
        facts: dict[str, Any] = {"leases": tried.leases, "found": tried.devices}
        report("idle.try_out", round(time.perf_counter() - begun, 2), "s", devices=devices, days=days, **facts)
    seconds, opened = timed(lambda: idle_cases.detect(now), turns=1)
    report("idle.open", round(seconds, 2), "s", devices=devices, cases=opened)
    seconds, _moved = timed(lambda: following.follow(now))
    report("idle.follow", round(seconds, 3), "s", devices=devices, open_cases=IdleCase.objects.count())


def main() -> int:
    """Fill servers that live as long as this process, and measure."""
    options = argparse.ArgumentParser()
    options.add_argument("--devices", type=int, default=2500)
    options.add_argument("--days", type=int, default=31)
    wanted = options.parse_args()
    with django_on_servers():
        fill(
            Past(devices=wanted.devices, days=wanted.days, shown=0, all_usage_days=wanted.days, usage_days=wanted.days)
        )
        measure(wanted.devices)
    return 0


if __name__ == "__main__":
    sys.exit(main())
