"""What was decided is looked at again when nothing late can come any more; what differs is an appended correction."""

import logging
from datetime import datetime, timedelta

from django.db import transaction

from allocations.models import Lease, UsageCorrection, UsageHour, UsageMark
from allocations.selectors.usage import judging
from allocations.services.usage.correcting import LEAVE, enter
from allocations.usage_rule import RULES
from audit import services as audit
from common.actors import RECONCILER

log = logging.getLogger(__name__)

SETTLED = timedelta(hours=3)
"""After the end of an hour: samples come two hours late at most, and their minutes are made within the third."""
HOURS_AT_ONCE = 24
_CODES = "SELECT lease_id, device_id, hour, codes FROM hours"
_ANEW = judging.ANEW_HOURS + _CODES
_HOUR = timedelta(hours=1)


def revise(now: datetime) -> int:
    """Judge every hour once more that is settled since the last time; the corrections that were appended."""
    mark = UsageMark.objects.filter(name="revised").first()
    decided = UsageMark.objects.filter(name="decided").first()
    if decided is None:
        return 0
    hour = mark.done_until if mark else decided.done_until - _HOUR
    made = 0
    for _turn in range(HOURS_AT_ONCE):
        if hour + _HOUR + SETTLED > now or hour + _HOUR > decided.done_until:
            break
        made += _revise_hour(hour)
        hour += _HOUR
        UsageMark.objects.update_or_create(name="revised", defaults={"done_until": hour})
    return made


def _revise_hour(hour: datetime) -> int:
    """An hour that differs is corrected lease by lease, each in its own transaction; a repeat finds nothing.

    Each is held against the rule that decided it: another rule is no reason for a correction.
    """
    kept = list(UsageHour.objects.filter(hour=hour).values_list("lease_id", "device_id", "codes", "rule_version"))
    by_rule = {(lease, device): version for lease, device, _codes, version in kept}
    anew: dict[int, dict[int, str]] = {}
    for version in sorted(set(by_rule.values())):
        values = judging.window(hour, hour + _HOUR, rule=RULES[version])
        for lease_id, device_id, _hour, codes in judging.run(_ANEW, values):
            if by_rule.get((lease_id, device_id)) == version:
                anew.setdefault(lease_id, {})[device_id] = codes
    differing = {
        lease for lease, device, codes, _ in kept if lease in anew and anew[lease].get(device, " " * 60) != codes
    }
    return sum(_correct(lease_id, hour, anew[lease_id]) for lease_id in sorted(differing))


@transaction.atomic
def _correct(lease_id: int, hour: datetime, anew: dict[int, str]) -> int:
    lease = Lease.objects.select_for_update(no_key=True).get(pk=lease_id)
    rows = list(UsageHour.objects.filter(lease=lease, hour=hour))
    by_hand = set(
        UsageCorrection.objects.filter(lease=lease, hour=hour, actor__isnull=False).values_list("device_id", flat=True)
    )
    made: list[UsageCorrection] = []
    for reason, letters in (
        (UsageCorrection.FAULT_FOUND, "F"),
        (UsageCorrection.LATE_DATA, "UIPHM"),
        (UsageCorrection.NOT_HELD, " "),
    ):
        wanted = [
            (row, "".join(new if new in letters else LEAVE for new in anew.get(row.device_id, " " * 60)))
            for row in rows
            if row.device_id not in by_hand  # what a person said of an hour stands
        ]
        made += enter(lease, wanted, reason=reason, actor=RECONCILER)
    if made:
        changes = {"hour": hour, "corrections": [entry.public_id for entry in made]}
        audit.record(actor=RECONCILER, verb="lease.usage_revised", target=lease, changes=changes)
    return len(made)
