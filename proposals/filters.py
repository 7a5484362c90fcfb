"""One FilterSet serves the page and the API."""

from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from django_filters.fields import ModelChoiceField

from common.filters import LinkFilter, YesNoFilter, state_choices
from proposals.call_choice import ToldApart
from proposals.lifecycle import CHANGE, PREPARED, PROPOSAL
from proposals.models import Call, ChangeRequest, PreparedDecision, Proposal, ProposalStep
from proposals.selectors import OPEN_PREPARED, open_calls, without_second
from proposals.selectors.readiness import to_decide

WAITING = ("submitted", "in_review")
OPEN_CHANGES = ("asked", "approved")


def named(value: str, prefix: str = "") -> Q:
    """Proposals of this number (its beginning), title or organisation; `prefix` is the way to them: `proposal__`."""
    found = Q(**{f"{prefix}number__startswith": value})
    for field in ("title", "organisation__name_ko", "organisation__name_en"):
        found |= Q(**{f"{prefix}{field}__icontains": value})
    return found


class _CallField(ToldApart, ModelChoiceField):
    """As a FilterSet wants it."""


class OfCallFilter(django_filters.ModelChoiceFilter):
    """By a call, chosen from a list or named by a link: rounds of one title are told apart by their days and number."""

    field_class = _CallField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        said = {"label": _("Call"), "queryset": Call.objects.order_by("-published_at", "-pk")}
        super().__init__(*args, **{**said, "to_field_name": "public_id", **kwargs})


class CallFilter(django_filters.FilterSet):
    q = django_filters.CharFilter(label=_("Title"), method="search")
    open = YesNoFilter(label=_("Takes proposals now"), method="only_open")

    class Meta:
        model = Call
        fields: tuple[str, ...] = ()

    def search(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Both titles."""
        return queryset.filter(Q(title_ko__icontains=value) | Q(title_en__icontains=value))

    def only_open(self, queryset: QuerySet[Any], _name: str, value: bool) -> QuerySet[Any]:
        """Those that take proposals now, or those that do not."""
        return open_calls(queryset) if value else queryset.exclude(pk__in=open_calls(Call.objects.all()))


class StaffCallFilter(CallFilter):
    """The agency's list: by where a call stands."""

    stage = django_filters.ChoiceFilter(
        label=_("State"),
        choices=[
            ("draft", pgettext_lazy("call state", "draft")),
            ("announced", pgettext_lazy("call state", "announced")),
            ("open", pgettext_lazy("call state", "open")),
            ("over", pgettext_lazy("call state", "over")),
            ("cancelled", pgettext_lazy("call state", "cancelled")),
        ],
        method="by_stage",
    )
    open = None  # type: ignore[assignment]  # a stage says more

    def by_stage(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Those that stand there now."""
        now = timezone.now()
        if value == "cancelled":
            return queryset.exclude(cancelled_at=None)
        queryset = queryset.filter(cancelled_at=None)
        if value == "draft":
            return queryset.filter(published_at=None)
        if value == "announced":
            return queryset.filter(published_at__gt=now)
        return open_calls(queryset) if value == "open" else queryset.filter(published_at__lte=now, closes_at__lte=now)


class ProposalFilter(django_filters.FilterSet):
    q = django_filters.CharFilter(label=_("Number, title or organisation"), method="search")
    state = django_filters.ChoiceFilter(label=_("State"), choices=state_choices(PROPOSAL))
    overdue = YesNoFilter(label=_("Overdue"), method="late")
    call = LinkFilter(label=_("Call"), field_name="call__public_id")

    class Meta:
        model = Proposal
        fields: tuple[str, ...] = ()

    def search(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Number, title and both names of the organisation."""
        return queryset.filter(named(value))

    def late(self, queryset: QuerySet[Any], _name: str, value: bool) -> QuerySet[Any]:
        """Those with a step that is open past its deadline, or the others."""
        late = Q(pk__in=ProposalStep.objects.at_work().filter(due_at__lt=timezone.now()).values("proposal"))
        return queryset.filter(late) if value else queryset.exclude(late)


class QueueFilter(ProposalFilter):
    """The officers' queue: what waits for them, unless they ask for something else."""

    state = django_filters.ChoiceFilter(
        label=_("State"),
        choices=[
            ("waiting", _("waiting for us")),
            ("decide", _("to be decided on")),
            *state_choices(PROPOSAL)[1:],
            ("all", _("all")),
        ],
        method="by_state",
        empty_label=None,
    )

    def __init__(self, data: Any = None, *args: Any, **kwargs: Any) -> None:
        data = data.copy() if data is not None else QueryDict(mutable=True)
        if not data.get("state"):
            data["state"] = "waiting"
        super().__init__(data, *args, **kwargs)

    def by_state(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """One state, those that wait, of these those that wait for a decision, or all."""
        if value == "all":
            return queryset
        if value == "decide":
            return queryset.filter(to_decide())
        return queryset.filter(state__in=WAITING) if value == "waiting" else queryset.filter(state=value)


class PreparedFilter(django_filters.FilterSet):
    """Prepared decisions: those that wait for their release, unless something else is asked for."""

    q = django_filters.CharFilter(label=_("Number, title or organisation"), method="search")
    call = OfCallFilter(field_name="proposal__call")
    kind = django_filters.ChoiceFilter(label=_("Decision"), choices=PreparedDecision.Kind.choices)
    state = django_filters.ChoiceFilter(
        label=_("State"),
        choices=[("open", _("waiting for release")), *state_choices(PREPARED), ("all", _("all"))],
        method="by_state",
        empty_label=None,
    )
    second = YesNoFilter(label=_("Waits for a second officer"), method="by_second")

    class Meta:
        model = PreparedDecision
        fields: tuple[str, ...] = ()

    def __init__(self, data: Any = None, *args: Any, **kwargs: Any) -> None:
        data = data.copy() if data is not None else QueryDict(mutable=True)
        if not data.get("state"):
            data["state"] = "open"
        super().__init__(data, *args, **kwargs)

    def search(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Number, title and both names of the organisation."""
        return queryset.filter(named(value, "proposal__"))

    def by_state(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """One state, those that wait, or all."""
        if value == "all":
            return queryset
        return queryset.filter(state__in=OPEN_PREPARED) if value == "open" else queryset.filter(state=value)

    def by_second(self, queryset: QuerySet[Any], _name: str, value: bool) -> QuerySet[Any]:
        """Those that nobody but a second officer can bring further, or the others."""
        return without_second(queryset) if value else queryset.exclude(pk__in=without_second(queryset).values("pk"))


class ChangeFilter(django_filters.FilterSet):
    """Changes to what was awarded."""

    kind = django_filters.ChoiceFilter(label=_("Change"), choices=ChangeRequest.Kind.choices)
    state = django_filters.ChoiceFilter(
        label=_("State"),
        choices=[("open", _("waiting for an answer")), *state_choices(CHANGE)],
        method="by_state",
    )
    allocation = LinkFilter(label=_("Allocation"), field_name="allocation__public_id")

    class Meta:
        model = ChangeRequest
        fields: tuple[str, ...] = ()

    def by_state(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """One state, or those that are not answered yet."""
        return queryset.filter(state__in=OPEN_CHANGES) if value == "open" else queryset.filter(state=value)
