"""From when to when a device was ill or out of service: kept as it changes, so that the past can be told."""

from collections.abc import Iterable

from django.utils import timezone

from cluster.models import Device, IllSpell

OUT = ("offline", "quarantined", "rma")


def keep(devices: Iterable[Device]) -> None:
    """Close the spells that are over and open those that begin. The caller has locked these rows and written their
    state and health; nothing is asked where there is none of them.
    """
    rows = {device.pk: device for device in devices}
    if not rows:
        return
    now = timezone.now()
    said = {pk: _ill(device) for pk, device in rows.items()}
    is_open = {spell.device_id: spell for spell in IllSpell.objects.filter(device__in=rows, ended_at=None)}
    over = [pk for pk, spell in is_open.items() if (spell.state, spell.health) != said[pk]]
    if over:
        IllSpell.objects.filter(device__in=over, ended_at=None).update(ended_at=now)
    IllSpell.objects.bulk_create(
        IllSpell(device=rows[pk], state=ill[0], health=ill[1], began_at=now)
        for pk, ill in said.items()
        if ill is not None and (pk not in is_open or pk in over)
    )


def _ill(device: Device) -> tuple[str, str] | None:
    """(state where it is out of service, health); None: it is well."""
    state = device.state if device.state in OUT else ""
    return (state, str(device.health)) if state or device.health != Device.Health.OK else None
