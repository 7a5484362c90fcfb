"""Addresses of usage."""

from django.urls import path

from usage.views import cases, figures, idle_rules, statements, sums

app_name = "usage"
urlpatterns = [
    path("usage/", sums.UsagePage.as_view(), name="sums"),
    path("figures/", figures.OwnFigures.as_view(), name="figures"),
    path("organisations/<slug:public_id>/figures/", figures.FiguresPage.as_view(), name="figures-of"),
    path("statements/", statements.StatementList.as_view(), name="statements"),
    path("statements/<slug:public_id>/", statements.StatementPage.as_view(), name="statement"),
    path("statements/<slug:public_id>/file.json", statements.StatementFile.as_view(), name="statement-file"),
    path("idle/", cases.IdleCaseList.as_view(), name="idle-cases"),
    path("idle-now/", cases.IdleOffers.as_view(), name="idle-offers"),
    path("idle/<slug:public_id>/", cases.IdleCasePage.as_view(), name="idle-case"),
    path("idle/<slug:public_id>/reply/", cases.ReplyPage.as_view(), name="idle-reply"),
    path("idle/<slug:public_id>/appeal/", cases.AppealPage.as_view(), name="idle-appeal"),
    path("leases/<slug:public_id>/idle/", cases.LeaseIdle.as_view(), name="lease-idle"),
    path("leases/<slug:public_id>/release-idle/", cases.GiveBackIdle.as_view(), name="lease-release-idle"),
    path("staff/idle/<slug:public_id>/uphold/", cases.UpholdPage.as_view(), name="idle-uphold"),
    path("staff/idle/<slug:public_id>/dismiss/", cases.DismissPage.as_view(), name="idle-dismiss"),
    path("staff/idle/<slug:public_id>/stop/", cases.StopPage.as_view(), name="idle-stop"),
    path("staff/idle/<slug:public_id>/carry-out/", cases.CarryOutPage.as_view(), name="idle-carry-out"),
    path("staff/leases/<slug:public_id>/breach/", cases.BreachPage.as_view(), name="lease-breach"),
    path("staff/idle-rules/", idle_rules.IdleRuleList.as_view(), name="idle-rules"),
    path("staff/idle-rules/new/", idle_rules.NewIdleRule.as_view(), name="idle-rule-new"),
    path("staff/idle-rules/<slug:public_id>/", idle_rules.IdleRulePage.as_view(), name="idle-rule"),
    path("staff/idle-rules/<slug:public_id>/change/", idle_rules.ChangeIdleRule.as_view(), name="idle-rule-change"),
    path("staff/idle-rules/<slug:public_id>/try/", idle_rules.TryIdleRule.as_view(), name="idle-rule-try"),
    path("staff/idle-rules/<slug:public_id>/on/", idle_rules.SwitchOn.as_view(), name="idle-rule-on"),
    path("staff/idle-rules/<slug:public_id>/off/", idle_rules.SwitchOff.as_view(), name="idle-rule-off"),
    path("staff/idle-rules/<slug:public_id>/discard/", idle_rules.DiscardIdleRule.as_view(), name="idle-rule-discard"),
]
