"""What is asked of the capacity board, by page and API alike: shape only."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.db.models import Max, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from allocations.forms import MomentField
from cluster.models import GpuClass, Node, Pool
from common.forms import Form
from proposals.models import Proposal
from reports.scenario import Approval, Changes, Move
from reports.selectors.board import Scope, scope_of

MOST_DAYS = 366
USUAL_DAYS = 92
MOST_GPUS = 100_000
MOST_CHOSEN, MOST_MOVES = 100, 10
SIZE, TIME = ":", "@"
"""What follows an id: `prop-…:48` (GPUs at most), `lease-…@2027-01-14T09:00` (the new start)."""


class DayField(forms.DateField):
    """A day, near enough to be reckoned with."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
        super().__init__(widget=widget, required=False, input_formats=["%Y-%m-%d"], **kwargs)

    def to_python(self, value: Any) -> date | None:
        day: date | None = super().to_python(value)
        if day and abs(day - timezone.localdate()) > timedelta(days=3650):
            raise forms.ValidationError(_("Please choose a day within ten years of today."), code="far_day")
        return day


class Words(forms.TextInput):
    """A text of words; a key that is given several times is all of them."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        said = data.getlist(name) if hasattr(data, "getlist") else [data.get(name) or ""]
        return " ".join(said)


class WordsField(forms.CharField):
    """Words between spaces or commas, in order, none twice."""

    widget = Words

    def __init__(self, *, most: int, **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)
        self.most = most

    def clean(self, value: Any) -> Any:
        words = list(dict.fromkeys(super().clean(value).replace(",", " ").split()))
        if len(words) > self.most:
            raise forms.ValidationError(
                _("Please choose not more than %(most)d at once."), params={"most": self.most}, code="too_many"
            )
        return words


class BoardForm(Form):
    """Which pools, when, and what if. `scope` and `changes` say it in the selectors' words once the form is valid."""

    pool = forms.ModelChoiceField(
        label=_("Pool"), queryset=Pool.objects.none(), to_field_name="public_id", required=False, empty_label=_("All")
    )
    gpu_class = forms.ModelChoiceField(
        label=_("GPU class"),
        queryset=GpuClass.objects.none(),
        to_field_name="code",
        required=False,
        empty_label=_("All"),
    )
    rows = forms.ChoiceField(
        label=_("A chart for each"), choices=[("pool", _("pool")), ("class", _("GPU class"))], required=False
    )
    step = forms.ChoiceField(label=_("Day or week"), choices=[("week", _("week")), ("day", _("day"))], required=False)
    start = DayField(label=_("From"), help_text=_("Empty: today"))
    until = DayField(label=_("Until"), help_text=_("Empty: 3 months"))

    remove = WordsField(
        label=_("Nodes to take away"),
        most=MOST_CHOSEN,
        help_text=_("Their names, with spaces between them: gpu-07 gpu-08"),
        strip=True,
    )
    remove_on = DayField(label=_("On this day"))
    add = forms.IntegerField(label=_("How many GPUs"), min_value=1, max_value=MOST_GPUS, required=False)
    add_pool = forms.ModelChoiceField(
        label=_("to the pool"), queryset=Pool.objects.none(), to_field_name="public_id", required=False
    )
    add_on = DayField(label=_("On this day"))
    approve = WordsField(label=_("If these proposals were awarded"), most=MOST_CHOSEN)
    at_most = forms.IntegerField(
        label=_("with at most so many GPUs a line"), min_value=1, max_value=MOST_GPUS, required=False
    )
    move = WordsField(label=_("Move"), most=MOST_MOVES)
    move_what = forms.CharField(
        label=_("Move this window"),
        max_length=40,
        required=False,
        help_text=_("The id of a reservation, maintenance window, allocation or waiting award"),
    )
    move_to = MomentField(label=_("to begin at"), required=False)

    FILTERS = ("pool", "gpu_class", "rows", "step", "start", "until")

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        pools = Pool.objects.visible_to(user).select_related("gpu_class")
        fields: dict[str, Any] = self.fields
        fields["pool"].queryset = fields["add_pool"].queryset = pools
        fields["gpu_class"].queryset = GpuClass.objects.all()
        self.pools = list(pools)
        self.zone = ZoneInfo(user.time_zone)
        self.today = timezone.localdate(timezone=self.zone)

    def clean_remove(self) -> list[Node]:
        """Nodes by name or public id, retired ones apart."""
        words = self.cleaned_data["remove"]
        if not words:
            return []
        rows = Node.objects.visible_to(self.user).exclude(state="retired").select_related("pool")
        nodes = list(rows.filter(Q(name__in=words) | Q(public_id__in=words)))
        unknown = set(words) - {node.name for node in nodes} - {node.public_id for node in nodes}
        if unknown:
            raise _unknown(_("There is no such node: %(names)s."), unknown)
        return nodes

    def clean_approve(self) -> list[Approval]:
        """Proposals that were submitted, each with the size that follows its id."""
        sizes = dict(_parts(text, SIZE) for text in self.cleaned_data["approve"])
        if not sizes:
            return []
        found = Proposal.objects.visible_to(self.user).filter(public_id__in=sizes)
        rows = {row.public_id: row for row in found.annotate(last_day=Max("lines__window_until"))}
        unknown = set(sizes) - set(rows)
        if unknown:
            raise _unknown(_("There is no such proposal: %(names)s."), unknown)
        return [Approval(rows[ref], _size(size) if size else None) for ref, size in sizes.items()]

    def clean_move(self) -> list[Move]:
        """Ids, each with its new start."""
        moves = []
        for text in self.cleaned_data["move"]:
            ref, when = _parts(text, TIME)
            moment: datetime | None = MomentField(required=False).clean(when)
            if moment is None:
                raise forms.ValidationError(
                    _("Please say when %(ref)s would begin, like %(ref)s@2027-01-14T09:00."),
                    params={"ref": ref},
                    code="no_start",
                )
            moves.append(Move(ref, moment))
        return moves

    def clean(self) -> dict[str, Any]:
        """What belongs together."""
        said = super().clean() or {}
        first, last = self._days(said)
        if last <= first:
            self.add_error("until", _("The last day must be later than the first."))
        elif (last - first).days > MOST_DAYS:
            self.add_error("until", _("The board shows a year at most. Please choose a nearer day."))
        if said.get("add") and not said.get("add_pool") and "add_pool" not in self.errors:
            self.add_error("add_pool", _("Please say to which pool the GPUs would be added."))
        ref, when = said.get("move_what"), said.get("move_to")
        if ref and not when and "move_to" not in self.errors:
            self.add_error("move_to", _("Please say when it would begin."))
        return said

    @property
    def scope(self) -> Scope:
        """The pools and buckets; those of every day, of everything, where nothing valid is said."""
        said = getattr(self, "cleaned_data", {})
        first, last = self._days(said if "until" not in self.errors and "start" not in self.errors else {})
        pool, gpu_class = said.get("pool"), said.get("gpu_class")
        pools = [
            row
            for row in self.pools
            if (pool is None or row.pk == pool.pk) and (gpu_class is None or row.gpu_class_id == gpu_class.pk)
        ]
        step: Any = said.get("step") or "week"
        rows: Any = said.get("rows") or "pool"
        return scope_of(pools, first, last, step=step, rows=rows, zone=self.zone)

    @property
    def changes(self) -> Changes:
        """The scenario; nothing, unless the whole form is valid."""
        if not self.is_valid():
            return Changes()
        said = self.cleaned_data
        at_most = said["at_most"]
        moves = list(said["move"])
        if said["move_what"]:
            moves.append(Move(said["move_what"].strip(), said["move_to"]))
        return Changes(
            remove=tuple(said["remove"]),
            remove_on=said["remove_on"],
            add=said["add"] or 0,
            add_pool=said["add_pool"],
            add_on=said["add_on"],
            approve=tuple(Approval(row.proposal, row.gpus or at_most) for row in said["approve"]),
            moves=tuple(moves),
        )

    def _days(self, said: dict[str, Any]) -> tuple[date, date]:
        first = said.get("start") or self.today
        return first, said.get("until") or self._usual_end(first, said)

    def _usual_end(self, first: date, said: dict[str, Any]) -> date:
        """Three months later, or when the windows are over that are asked about; a year at most."""
        most = first + timedelta(days=MOST_DAYS)  # first: a partner may have typed the last day that there is
        last = [min(row.proposal.last_day, most) for row in said.get("approve") or () if row.proposal.last_day]
        return min(max([first + timedelta(days=USUAL_DAYS), *(day + timedelta(days=1) for day in last)]), most)


def _unknown(message: Any, names: set[str]) -> forms.ValidationError:
    return forms.ValidationError(message, params={"names": ", ".join(sorted(names))}, code="unknown")


def _parts(text: str, between: str) -> tuple[str, str]:
    ref, _sign, rest = text.partition(between)
    return ref, rest


def _size(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:7]) <= MOST_GPUS and len(text) < 7):
        raise forms.ValidationError(
            _("“%(size)s” is no number of GPUs. Please give one after the colon, like prop-7f3k2m:48."),
            params={"size": text[:20]},
            code="size",
        )
    return int(text)
