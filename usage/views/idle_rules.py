"""The agency's pages of the rules about idle GPUs: versions, try-outs, on and off."""

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.rules import is_agency
from allocations.forms.verbs import ConfirmForm
from allocations.usage_classes import UsageClass
from allocations.usage_rule import RULE
from common.form_pages import FormPage, ObjectFormPage
from common.gates import Gate
from common.permissions import allowed
from common.tables import Column
from common.templatetags.bitgoeul import moment, seconds_in_words
from common.web import ListPage, ObjectPage
from telemetry.models import IdlePower
from usage.filters import IdleRuleFilter
from usage.forms.idle import IdleRuleForm, NewIdleRuleForm, ReasonForm, TryForm
from usage.lifecycle import IDLE_RULE
from usage.models import IdleRule
from usage.rule_words import left_out_in_words, precedence, sentences, tried_in_words
from usage.rules import may_set_idle_rules
from usage.selectors.tryouts import narrower_than
from usage.services import idle_rules

NARROWER_SHOWN = 20


class IdleRuleList(Gate, ListPage):
    """Every version of every subject's rule."""

    gate = is_agency
    model = IdleRule
    filterset_class = IdleRuleFilter
    title = _("Rules about idle GPUs")
    empty_text = _("No rule yet: nobody is told of idle GPUs. Write one, try it out, switch it on.")
    export_name = "idle-rules"
    default_order = "-made_at"
    create_url_name = "usage:idle-rule-new"
    create_label = _("Write a rule")
    columns = (
        Column("id", _("Number"), lambda row: row.public_id, link=lambda row: row.get_absolute_url()),
        Column("subject", _("Holds for"), lambda row: row.subject_name),
        Column("version", _("Version"), lambda row: row.version, sort="version", numeric=True),
        Column("state", _("State"), lambda row: row.state, sort="state", badge="idle rule"),
        Column(
            "window",
            _("Idle for so long"),
            lambda row: row.window_seconds,
            cell=lambda row: seconds_in_words(row.window_seconds),
            sort="window_seconds",
        ),
        Column("follows", _("What follows"), lambda row: row.get_follows_display(), sort="follows"),
        Column("tried", _("Try-out"), lambda row: tried_in_words(row.tried)),
        Column(
            "on",
            _("Switched on"),
            lambda row: row.on_at.isoformat() if row.on_at else "",
            cell=lambda row: moment(row.on_at) if row.on_at else "–",
            sort="on_at",
        ),
        Column("by", _("Written by"), lambda row: str(row.made_by), sort="made_by__name"),
    )

    def may_create(self) -> bool:
        return allowed(self.request.user, may_set_idle_rules)

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("pool", "agreement", "made_by")


class _RuleMixin:
    model: Any = IdleRule
    object_name = "rule"

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("pool", "agreement", "made_by", "on_by", "off_by")  # type: ignore[misc]


class IdleRulePage(_RuleMixin, ObjectPage):
    """One version: what it says, what it would have done, what may be done with it."""

    template_name = "usage/idle_rule.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        rule, may = self.object, allowed(self.request.user, may_set_idle_rules)
        return super().get_context_data(
            sentences=[*sentences(rule), *precedence(rule)],
            narrower=narrower_than(rule)[:NARROWER_SHOWN],
            tried=tried_in_words(rule.tried),
            left_out=left_out_in_words(rule.tried),
            named=(rule.tried or {}).get("named", []),
            classes=[(kind.label, kind.meaning) for kind in UsageClass],
            powers=[
                (row, row.watts + RULE.idle_watts_above, row.watts + RULE.context_watts_above)
                for row in IdlePower.objects.select_related("gpu_class").order_by("gpu_class__name")
            ],
            may_draft=may and IDLE_RULE.allows(rule.state, "switch_on"),
            may_try=may and rule.state in ("draft", "on"),
            may_switch_off=may and IDLE_RULE.allows(rule.state, "switch_off"),
            open_cases=rule.cases.exclude(ended_at__isnull=False).count(),
            **kwargs,
        )


class NewIdleRule(Gate, FormPage):
    """A draft; `?from=` takes the values of another version."""

    gate = may_set_idle_rules
    form_class = NewIdleRuleForm
    title = _("Write a rule about idle GPUs")
    intro = _("It is a draft: nothing happens before it was tried out and switched on.")
    submit_label = _("Save the draft")
    success_message = _("The draft is saved. Try it out before you switch it on.")

    def cancel_url(self) -> str:
        return reverse("usage:idle-rules")

    def get_initial(self) -> dict[str, Any]:
        wanted = self.request.GET.get("from", "").replace("\0", "")
        rule = IdleRule.objects.visible_to(self.request.user).filter(public_id=wanted).first() if wanted else None
        if rule is None:
            return {}
        pool = rule.pool.public_id if rule.pool else None
        return {**rule.values, "pool": pool, "agreement": rule.agreement.number if rule.agreement else ""}

    def perform(self, form: Any) -> IdleRule:
        said = form.cleaned_data
        return idle_rules.draft(
            actor=self.request.user,
            pool=said["pool"],
            agreement=said["agreement"],
            values=form.values,
            reason=said["reason"],
        )


class _RuleForm(Gate, _RuleMixin, ObjectFormPage):
    gate = may_set_idle_rules


class ChangeIdleRule(_RuleForm):
    """Other values for a draft."""

    form_class = IdleRuleForm
    title = pgettext_lazy("idle rule", "Change the draft")
    intro = _("What was tried out before no longer counts after a change.")
    submit_label = _("Save the draft")
    success_message = _("The draft is saved. Try it out before you switch it on.")

    def get_initial(self) -> dict[str, Any]:
        return {**self.object.values, "reason": self.object.reason}

    def perform(self, form: Any) -> IdleRule:
        return idle_rules.change_draft(
            actor=self.request.user, rule=self.object, values=form.values, reason=form.cleaned_data["reason"]
        )


class TryIdleRule(_RuleForm):
    """Against what was measured."""

    form_class = TryForm
    title = _("Try the rule out")
    intro = _("What it would have taken back in these days, by the evidence. Nothing happens to anybody.")
    submit_label = _("Try it out")
    success_message = _("The rule was tried out. What it would have done stands below.")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(intro=" ".join([str(self.intro), *precedence(self.object)]), **kwargs)

    def perform(self, form: Any) -> IdleRule:
        return idle_rules.try_out(actor=self.request.user, rule=self.object, **form.cleaned_data)


class SwitchOn(_RuleForm):
    """It holds from now on."""

    form_class = ReasonForm
    title = _("Switch the rule on")
    submit_label = _("Switch it on")
    success_message = _("The rule holds from now on.")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        said = (tried_in_words(self.object.tried), left_out_in_words(self.object.tried), *precedence(self.object))
        return super().get_context_data(intro=" ".join(filter(None, said)), **kwargs)

    def perform(self, form: Any) -> IdleRule:
        return idle_rules.switch_on(actor=self.request.user, rule=self.object, **form.cleaned_data)


class SwitchOff(_RuleForm):
    """It holds no longer."""

    form_class = ReasonForm
    title = _("Switch the rule off")
    intro = _("Open cases under it end, and nothing is taken by it any more.")
    submit_label = _("Switch it off")
    danger = True
    success_message = _("The rule is off.")

    def perform(self, form: Any) -> IdleRule:
        return idle_rules.switch_off(actor=self.request.user, rule=self.object, **form.cleaned_data)


class DiscardIdleRule(_RuleForm):
    """A draft that is not wanted."""

    form_class = ConfirmForm
    title = _("Discard the draft")
    submit_label = _("Discard it")
    danger = True
    success_message = _("The draft is discarded.")

    def perform(self, form: Any) -> IdleRule:
        return idle_rules.discard(actor=self.request.user, rule=self.object)
