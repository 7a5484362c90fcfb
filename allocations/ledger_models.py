"""The lines of an allocation's ledger."""

from typing import Any, ClassVar

from django.db import models
from django.db.models import OuterRef, Q, Subquery
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import User
from allocations import charging
from allocations.models import Allocation, Lease


class LedgerEntryQuerySet(models.QuerySet["LedgerEntry"]):
    def for_reading(self) -> "LedgerEntryQuerySet":
        """With what a line says to people: the name of who moved it, the reservation, an adjustment's two officers.

        The line itself keeps the label alone, for good; whoever is no longer known under it is named by it.
        """
        person = User.objects.filter(email=OuterRef("actor_label")).values("name")
        return self.select_related("lease", "adjustment__proposed_by").annotate(actor_name=Subquery(person[:1]))


class LedgerEntry(models.Model):
    """One signed amount of device-seconds. Append-only: the database refuses UPDATE and DELETE."""

    class Kind(models.TextChoices):
        AWARD = "award", _("awarded")
        HOLD = "hold", _("held for a reservation")
        RETURN = "return", _("hold given back")
        SETTLE = "settle", _("charged")
        CREDIT = "credit", _("credited")
        ADJUSTMENT = "adjustment", _("adjusted")
        EXPIRY = "expiry", _("expired")

    WHY: ClassVar[dict[str, Any]] = {
        **{choice.value: choice.label for choice in Lease.EndReason},
        "booked": pgettext_lazy("reason of a hold", "booked"),
        "early return": _("given back early"),
        "extension": _("extended"),
        "changed": _("changed before the start"),
        "awarded later": _("awarded later, by a change request"),
        "moved": _("moved to another pool"),
        "shrunk": _("GPUs were given back before the end"),
        "extension not acknowledged": _("a node did not confirm the extension"),
        "allocation expired": _("the term of the allocation is over"),
        "allocation closed": _("the allocation was closed"),
        "late handover": _("the GPUs were handed over late"),
        "device lost": _("GPUs were lost during the reservation"),
        "progress report accepted": _("the progress report was accepted: what was held back is granted"),
    }
    """The reasons that the services write, in words; anything else is somebody's own text."""

    allocation = models.ForeignKey(Allocation, on_delete=models.PROTECT, related_name="ledger")
    lease = models.ForeignKey(Lease, on_delete=models.PROTECT, related_name="ledger", null=True, blank=True)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    device_seconds = models.BigIntegerField()
    weight = models.PositiveIntegerField(
        null=True, help_text="per mille, of what is held and charged; empty where none applies"
    )
    segment = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="of the lease's window, cut where the weight changes"
    )
    reason = models.CharField(max_length=200, blank=True)
    actor_label = models.CharField(max_length=254)
    at = models.DateTimeField(auto_now_add=True)

    objects = LedgerEntryQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["lease", "segment"],
                condition=Q(kind="settle"),
                name="lease_settles_once",
            )
        ]
        indexes = [models.Index(fields=["allocation", "at"])]

    def __str__(self) -> str:
        return f"{self.kind} {self.device_seconds}"

    @property
    def why(self) -> str:
        """The reason in the reader's language."""
        return str(self.WHY.get(self.reason, self.reason))

    @property
    def by(self) -> str:
        """Who moved it, by name (`for_reading` brings it); what the portal did by itself is the portal's."""
        person: str = getattr(self, "actor_name", None) or self.actor_label
        if self.kind == self.Kind.ADJUSTMENT and hasattr(self, "adjustment"):
            names = {"proposer": str(self.adjustment.proposed_by), "second": person}
            return str(_("proposed by %(proposer)s, confirmed by %(second)s") % names)
        return str(_("the portal")) if self.actor_label.startswith("system:") else person

    @property
    def weight_hours(self) -> float | None:
        """GPU-hours that an hour on a GPU is charged as; None where no weight applies."""
        return None if self.weight is None else self.weight / charging.NORMAL
