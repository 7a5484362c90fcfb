"""Addresses of allocations and reservations."""

from django.urls import path

from allocations.views import adjustments as adjusting
from allocations.views import allocations, booking, calendar, feeds, finding, leases, reshaping, rules, verbs, weights

app_name = "allocations"
urlpatterns = [
    path("allocations/", allocations.AllocationList.as_view(), name="allocations"),
    path("allocations/<slug:public_id>/", allocations.AllocationPage.as_view(), name="allocation"),
    path("allocations/<slug:public_id>/series.json", allocations.AllocationSeries.as_view(), name="allocation-series"),
    path("allocations/<slug:public_id>/ledger/", allocations.LedgerList.as_view(), name="ledger"),
    path("allocations/<slug:public_id>/adjust/", adjusting.AdjustmentNew.as_view(), name="adjustment-new"),
    path("allocations/<slug:public_id>/book/", booking.BookPage.as_view(), name="book"),
    path("allocations/<slug:public_id>/book/check/", booking.BookCheck.as_view(), name="book-check"),
    path("calendar/", calendar.CalendarPage.as_view(), name="calendar"),
    path("calendar/link/", feeds.FeedPage.as_view(), name="feed"),
    path("calendar/link/revoke/", feeds.FeedRevoke.as_view(), name="feed-revoke"),
    path("calendar/<str:token>.ics", feeds.feed_file, name="feed-file"),
    path("find/", finding.FindPage.as_view(), name="find"),
    path("staff/rules/", rules.RulesPage.as_view(), name="rules"),
    path("staff/rules/blackouts/new/", rules.NewBlackout.as_view(), name="blackout-new"),
    path("staff/rules/blackouts/<slug:public_id>/", rules.BlackoutPage.as_view(), name="blackout"),
    path("staff/rules/blackouts/<slug:public_id>/cancel/", rules.CancelBlackout.as_view(), name="blackout-cancel"),
    path("staff/rules/<slug:scope>/<slug:public_id>/", rules.SetRules.as_view(), name="rules-of"),
    path("leases/", leases.LeaseList.as_view(), name="leases"),
    path("leases/<slug:public_id>/", leases.LeasePage.as_view(), name="lease"),
    path("leases/<slug:public_id>/live/", leases.LeaseLive.as_view(), name="lease-live"),
    path("leases/<slug:public_id>/series.json", leases.LeaseSeries.as_view(), name="lease-series"),
    path("leases/<slug:public_id>/handover/", leases.HandoverPage.as_view(), name="lease-handover"),
    path("leases/<slug:public_id>/handover.json", leases.HandoverFile.as_view(), name="lease-handover-file"),
    path("leases/<slug:public_id>/release/", verbs.ReleasePage.as_view(), name="lease-release"),
    path("leases/<slug:public_id>/cancel/", verbs.CancelPage.as_view(), name="lease-cancel"),
    path("leases/<slug:public_id>/extend/", verbs.ExtendPage.as_view(), name="lease-extend"),
    path("leases/<slug:public_id>/change/", verbs.ChangePage.as_view(), name="lease-change"),
    path("leases/<slug:public_id>/shrink/", reshaping.ShrinkPage.as_view(), name="lease-shrink"),
    path("leases/<slug:public_id>/swap/", reshaping.SwapPage.as_view(), name="lease-swap"),
    path("leases/<slug:public_id>/certificate/", verbs.CertificateDownload.as_view(), name="lease-certificate"),
    path("weights/", weights.WeightList.as_view(), name="weights"),
    path("staff/weights/new/", weights.WeightNew.as_view(), name="weight-new"),
    path("staff/weights/<slug:public_id>/withdraw/", weights.WeightWithdraw.as_view(), name="weight-withdraw"),
    path("staff/adjustments/", adjusting.AdjustmentList.as_view(), name="adjustments"),
    path("staff/adjustments/<slug:public_id>/", adjusting.AdjustmentPage.as_view(), name="adjustment"),
    path(
        "staff/adjustments/<slug:public_id>/confirm/",
        adjusting.AdjustmentConfirm.as_view(),
        name="adjustment-confirm",
    ),
    path("staff/adjustments/<slug:public_id>/reject/", adjusting.AdjustmentReject.as_view(), name="adjustment-reject"),
    path(
        "staff/adjustments/<slug:public_id>/withdraw/",
        adjusting.AdjustmentWithdraw.as_view(),
        name="adjustment-withdraw",
    ),
]
