"""Pages about calls for people who are signed in."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.rules import is_agency
from common.gates import Gate
from common.tables import Column
from common.templatetags.bitgoeul import hours, moment, number
from common.web import ListPage, ObjectPage, staff_only
from proposals.filters import CallFilter, StaffCallFilter
from proposals.models import Call, Proposal
from proposals.rules import may_edit_call
from proposals.selectors import gpu_classes_of
from proposals.selectors.call_figures import figures_of, with_figures
from proposals.selectors.eligibility import standings
from proposals.views.call_editor import public_facts

TITLE = Column("title", _("Title"), lambda c: c.title, link=lambda c: c.get_absolute_url(), sort="title_ko")
CLOSES = Column(
    "closes_at",
    _("Closes"),
    lambda c: c.closes_at,
    cell=lambda c: moment(c.closes_at) if c.closes_at else _("rolling"),
    sort="closes_at",
)


class CallList(ListPage):
    model = Call
    filterset_class = CallFilter
    default_order = "-published_at"
    title = _("Calls")
    empty_text = _("No call yet. Calls appear here as soon as the agency publishes one.")
    export_name = "calls"
    columns = (
        TITLE,
        Column(
            "published_at",
            _("Published"),
            lambda c: c.published_at,
            cell=lambda c: moment(c.published_at),
            sort="published_at",
        ),
        CLOSES,
        Column("open", _("Takes proposals"), lambda c: _("yes") if c.is_open else _("no")),
    )


def _count(key: str, label: Any) -> Column:
    return Column(key, label, lambda c: getattr(c, key), cell=lambda c: number(getattr(c, key)), sort=key, numeric=True)


def _amount(key: str, label: Any) -> Column:
    return Column(
        key,
        label,
        lambda c: "" if getattr(c, key) is None else getattr(c, key) / 3600,
        cell=lambda c: hours(getattr(c, key)),
        sort=key,
        numeric=True,
    )


class StaffCalls(Gate, ListPage):
    """Every call with where it stands and what came of it."""

    gate = is_agency
    model = Call
    filterset_class = StaffCallFilter
    default_order = "-pk"
    title = _("Calls")
    empty_text = _("No call yet. Begin the first draft, or copy last year's.")
    export_name = "calls"
    create_url_name = "proposals:call-new"
    create_label = _("New call")
    columns = (
        TITLE,
        Column("stage", _("State"), lambda c: c.stage, badge="call"),
        CLOSES,
        _count("handed_in", _("Proposals")),
        _count("waiting", _("Waiting")),
        _count("awarded", _("Awarded")),
        _amount("asked_seconds", _("Asked, GPU-hours")),
        _amount("awarded_seconds", _("Awarded, GPU-hours")),
        _amount("budget_seconds", _("Budget, GPU-hours")),
    )

    def get_queryset(self) -> Any:
        return with_figures(super().get_queryset())

    def may_create(self) -> bool:
        return bool(may_edit_call.test(self.request.user, None))


class CallPage(ObjectPage):
    model = Call
    object_name = "call"
    template_name = "proposals/call.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user: Any = self.request.user
        stands = [] if user.is_agency else standings(self.object, user)
        return super().get_context_data(
            **public_facts(self.object),
            gpu_classes=gpu_classes_of(self.object),
            standings=stands,
            may_propose=self.object.is_open and any(one.may for one in stands),
            may_write=self.object.is_open and any(one.conditions[0].met and one.conditions[1].met for one in stands),
            may_edit=may_edit_call.test(user, None),
            own_proposals=[] if user.is_agency else Proposal.objects.visible_to(user).filter(call=self.object)[:10],
            now=timezone.now(),
            **kwargs,
        )


class CallFiguresPage(ObjectPage):
    """What a call achieved."""

    model = Call
    object_name = "call"
    template_name = "proposals/call_figures.html"

    def fetch(self) -> Any:
        staff_only(self.request.user)
        return super().fetch()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(figures=figures_of(self.object), **kwargs)
