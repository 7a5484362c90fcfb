"""Forms of the machine pages: shape only; the rules are asked in the services."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from allocations.forms import MomentField
from allocations.promises import Promise
from allocations.services.planning import END, MOVE
from cluster.models import Device, Pool
from common.forms import Form
from common.templatetags.bitgoeul import moment, state_label

PREFIX = "plan-"
COUNTED = re.compile(r"(?:(?P<count>[1-9])\s*[x×*]\s*)?(?P<name>[0-9]g\.[0-9]{1,3}gb(?:\+me)?)")
Finder = Callable[[datetime | None, datetime | None], list[Promise]]


class ReasonForm(Form):
    """Why; it goes into the audit log."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=200,
        help_text=_("Stands in the audit log; partners whose reservation is moved or ended read it."),
    )


class PlanForm(ReasonForm):
    """Why, and for every reservation that is hit what becomes of it. `hit` finds them in a window (None: at any time).

    A form that asks for no plan where nothing is hit; `lenient`: what is not planned goes on.
    """

    def __init__(self, *args: Any, hit: Finder, lenient: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        since, until = self.span()
        self.hit = hit(since, until)
        for promise in self.hit:
            self.fields[PREFIX + promise.lease.public_id] = self._choice(promise, lenient)

    def span(self) -> tuple[datetime | None, datetime | None]:
        """The window in which reservations are hit, as far as it is known yet."""
        return None, None

    def _typed(self, name: str) -> datetime | None:
        """A moment out of what was sent, before it is checked; None where it is none."""
        if not self.is_bound:
            return None
        try:
            return self.fields[name].clean(self.data.get(self.add_prefix(name), "")) or None
        except forms.ValidationError:
            return None

    def _choice(self, promise: Promise, lenient: bool) -> forms.ChoiceField:
        lease = promise.lease
        choices: list[tuple[str, Any]] = [("", _("leave it as it is") if lenient else _("– please choose –"))]
        if promise.scheduled:
            choices.append((MOVE, _("move it to other GPUs")))
        if promise.scheduled or promise.running:
            choices.append((END, _("end it and give the hours back")))
        elif not lenient:
            choices = [("", _("it is being taken back: go on without these GPUs"))]
        return forms.ChoiceField(
            label=_("%(organisation)s, %(lease)s (%(state)s), %(start)s to %(end)s: %(count)s GPUs")
            % {
                "organisation": lease.allocation.project.organisation.name,
                "lease": lease.public_id,
                "state": state_label(lease.state, "reservation"),
                "start": moment(lease.starts_at),
                "end": moment(lease.ends_at),
                "count": len(promise.placements),
            },
            choices=choices,
            required=False,
        )

    @property
    def plan(self) -> dict[str, str]:
        """Public ids of leases to what was chosen."""
        return {
            name.removeprefix(PREFIX): value
            for name, value in self.cleaned_data.items()
            if name.startswith(PREFIX) and value
        }


class ForceForm(PlanForm):
    """A plan that must be meant: the box has to be ticked where anything is hit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.hit:
            self.fields["force"] = forms.BooleanField(
                label=_("Do it in spite of these reservations, as chosen above"), required=False
            )


class MaintainForm(ForceForm):
    """When the work should be over."""

    until = MomentField(
        label=_("Expected end"),
        required=False,
        help_text=_("Reservations that begin later are not hit. Leave it empty when nobody knows."),
    )

    def span(self) -> tuple[datetime | None, datetime | None]:
        return None, self._typed("until")


class WindowForm(ForceForm):
    """From when until when."""

    starts_at = MomentField(label=_("Start"))
    ends_at = MomentField(label=_("End"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order_fields(["starts_at", "ends_at", "reason"])

    def span(self) -> tuple[datetime | None, datetime | None]:
        return self._typed("starts_at"), self._typed("ends_at")

    def clean(self) -> dict[str, Any]:
        """In order."""
        cleaned = super().clean() or {}
        if cleaned.get("starts_at") and cleaned.get("ends_at") and cleaned["ends_at"] <= cleaned["starts_at"]:
            self.add_error("ends_at", _("The end must be later than the start."))
        return cleaned


class SendBackForm(ForceForm):
    """The vendor's number for it."""

    ticket = forms.CharField(label=_("RMA ticket"), max_length=60)


class PartitionForm(ForceForm):
    """The MIG instances that a GPU is to be cut into."""

    instances = forms.CharField(
        label=_("MIG instances"),
        max_length=200,
        required=False,
        help_text=_("Their profiles, as “3g.40gb, 2 x 1g.10gb”. Leave it empty to make the GPU whole again."),
    )
    field_order = ("instances", "reason")

    def clean_instances(self) -> list[str]:
        """One name an instance."""
        names = profiles_in_words(self.cleaned_data["instances"])
        if names is None:
            raise forms.ValidationError(_("Please write profiles and numbers, as “3g.40gb, 2 x 1g.10gb”."))
        return names


def profiles_in_words(text: str) -> list[str] | None:
    """`3g.40gb, 2 x 1g.10gb` as a list with one name an instance; None where it reads otherwise."""
    names: list[str] = []
    for word in filter(None, (part.strip() for part in re.split(r"[,;\n]|\s\+\s", text))):
        found = COUNTED.fullmatch(word)
        if found is None:
            return None
        names += [found["name"]] * int(found["count"] or 1)
    return names


class NodeForm(Form):
    """A node to be."""

    name = forms.SlugField(label=_("Name"), max_length=60, help_text=_("As it is called in the data centre: gpu-07."))
    pool = forms.ModelChoiceField(label=_("Pool"), queryset=Pool.objects.all(), to_field_name="public_id")
    expected_devices = forms.IntegerField(
        label=_("GPUs expected"),
        min_value=1,
        max_value=64,
        required=False,
        help_text=_("What was bought; the inventory is held against it."),
    )


class InventoryForm(Form):
    """The GPUs that were looked at."""

    uuids = forms.MultipleChoiceField(label=_("These GPUs belong there"), widget=forms.CheckboxSelectMultiple)
    accept_difference = forms.BooleanField(label=_("Accept that it differs from what was expected"), required=False)

    def __init__(self, *args: Any, devices: list[Any], differs: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["uuids"].choices = [  # type: ignore[attr-defined]
            (
                device.uuid,
                f"GPU {device.index} · {device.gpu_class.name} · {device.uuid} · {device.serial or '–'} · "
                f"{device.pci_bus_id or '–'} · {device.memory_mib:,} MiB",
            )
            for device in devices
        ]
        if not differs:
            del self.fields["accept_difference"]


class XidForm(Form):
    """A site's own rule for an XID."""

    level = forms.ChoiceField(
        label=_("Health that the GPU gets"),
        choices=Device.Health.choices,
        help_text=_("Drain: no new reservations. Fail: it is replaced at once where it is not handed over yet."),
    )
    tell_partner = forms.BooleanField(label=_("Tell the partner who holds the GPU"), required=False)
    repeat_count = forms.IntegerField(
        label=_("Repeats"),
        min_value=1,
        max_value=1000,
        required=False,
        help_text=_("So many of this XID on one GPU put it on drain at least. Leave both empty for no such rule."),
    )
    repeat_days = forms.IntegerField(label=_("Within days"), min_value=1, max_value=365, required=False)
    note = forms.CharField(
        label=_("Meaning"),
        max_length=200,
        required=False,
        help_text=_("What it means here, for staff and partners. Leave it empty for the built-in words."),
    )
    reason = forms.CharField(label=_("Reason"), max_length=200, help_text=_("Stands in the audit log."))


class ShareForm(Form):
    """Whether organisations share a pool's nodes, and why."""

    shared = forms.BooleanField(
        label=_("Organisations may share a node of this pool"),
        required=False,
        help_text=_("Otherwise a node is lent to one organisation at a time. A shared kernel is a shared fate."),
    )
    reason = forms.CharField(label=_("Reason"), max_length=200, help_text=_("Stands in the audit log."))


class TermsForm(Form):
    """Cleaning between reservations, and the bound of over-commitment."""

    turnaround_minutes = forms.IntegerField(
        label=_("Cleaning between reservations, minutes"),
        min_value=0,
        max_value=24 * 60,
        help_text=_("Kept free after every reservation that is booked from now on; nobody pays for it."),
    )
    overcommit_percent = forms.IntegerField(
        label=_("Over-commitment, per cent"),
        min_value=0,
        max_value=1_000,
        help_text=_(
            "By how much the GPUs at once of all awards may exceed the GPUs of the pool. 0: no more than there are. "
            "What is guaranteed to an award is never more than there is."
        ),
    )
    reason = forms.CharField(label=_("Reason"), max_length=200, help_text=_("Stands in the audit log."))


class ConfirmForm(Form):
    """Nothing to fill in: a button that means it."""
