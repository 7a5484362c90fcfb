"""The notices that an agreement will end: 60, 30 and 7 days before its last day, each exactly once."""

from datetime import date, timedelta

from django.db import transaction

from notifications.services import notify
from partners.models import Agreement, AgreementNotice
from partners.selectors import managers_of, officers

STEPS = (60, 30, 7)


def notify_ends(*, today: date) -> int:
    """Tell of every agreement that ends soon and is not renewed; how many notices went out.

    An agreement that came into force, or was found again, with fewer days left has the nearest notice alone. Where an
    amendment moves the last day, the steps begin anew.
    """
    soon = Agreement.objects.filter(
        state__in=("active", "suspended"), valid_until__gte=today, valid_until__lte=today + timedelta(days=max(STEPS))
    ).exclude(renewed_by__state="active")
    return sum(_notify(pk, today) for pk in list(soon.order_by("valid_until", "pk").values_list("pk", flat=True)))


@transaction.atomic
def _notify(pk: int, today: date) -> int:
    rows = Agreement.objects.select_for_update(of=("self",), skip_locked=True, no_key=True)
    agreement = rows.select_related("organisation").filter(pk=pk).first()
    if agreement is None:
        return 0  # somebody works on it: the next beat comes soon enough
    days = (agreement.valid_until - today).days
    step = min((step for step in STEPS if days <= step), default=None)
    if step is None or days < 0:
        return 0
    _row, new = AgreementNotice.objects.get_or_create(agreement=agreement, days=step, valid_until=agreement.valid_until)
    if not new:
        return 0
    notify(
        recipients=[*managers_of(agreement.organisation), *officers()],
        event="agreement_ending",
        context={
            "number": agreement.number,
            "title": agreement.title,
            "organisation": agreement.organisation.lazy_name,
            "valid_until": agreement.valid_until.isoformat(),
            "days": days,
        },
        url=agreement.get_absolute_url(),
    )
    return 1
