"""A promise that is kept longer: the devices that keep it after its present end."""

from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from allocations import shapes
from allocations.models import Envelope, Pin
from allocations.selectors.availability import free_devices, own_nodes
from allocations.services import keeping, placing
from allocations.services.telling import local
from audit import services as audit
from common.errors import RuleBroken


def prolong(*, actor: Any, envelope: Envelope, ends_at: datetime) -> None:
    """Keep an envelope's promise until `ends_at`. The caller's transaction, run anew after LostRace.

    RuleBroken (`no_capacity`) where so many GPUs are not free throughout. The time for cleaning after the present end
    is kept by its pins already; from there on others take over.
    """
    envelope = (
        Envelope.objects.select_for_update(of=("self",), no_key=True)
        .select_related("pool", "organisation")
        .get(pk=envelope.pk)
    )
    pool, tenant = envelope.pool, envelope.organisation_id
    since, until = envelope.ends_at + pool.turnaround, ends_at + pool.turnaround
    free = list(free_devices(pool, since, until, tenants=[tenant]))
    own = set(envelope.pins.filter(until__gte=since).values_list("device_id", flat=True))
    stay = [device for device in free if device.pk in own][: envelope.gpus]
    rest = [device for device in free if device.pk not in own]
    more = shapes.choose(rest, envelope.gpus - len(stay), shapes.ANY, own_nodes(pool, tenant, since, until))
    if len(stay) < envelope.gpus and more is None:
        raise RuleBroken(
            ngettext(
                "The pool %(pool)s has %(free)s GPU that nobody holds from %(start)s to %(end)s.",
                "The pool %(pool)s has %(free)s GPUs that nobody holds from %(start)s to %(end)s.",
                len(free),
            )
            % {"pool": pool.name, "free": len(free), "start": local(envelope.ends_at), "end": local(ends_at)},
            code="no_capacity",
            remedy=_("A shorter term may be possible."),
            field="valid_until",
            facts={"rule": "capacity", "ceiling": len(free), "asked": envelope.gpus, "pool": pool.name},
        )
    devices = placing.lock(device.pk for device in [*stay, *(more or [])])
    placing.check_untouched(devices, since, until, pool=pool, tenant=tenant)
    before, envelope.ends_at = envelope.ends_at, ends_at
    envelope.save(update_fields=["ends_at"])
    Pin.objects.bulk_create(Pin(envelope=envelope, device=device, since=since, until=until) for device in devices)
    keeping.keep_all(envelope, devices)
    changes = {"ends_at": [before, ends_at], "devices": [device.public_id for device in devices]}
    audit.record(actor=actor, verb="envelope.prolong", target=envelope, changes=changes)
