"""Addresses of calls; proposals.urls takes them in."""

from django.urls import path

from proposals.views import call_editor, calls, public

urlpatterns = [
    path("calls/", calls.CallList.as_view(), name="calls"),
    path("calls/<slug:public_id>/", calls.CallPage.as_view(), name="call"),
    path("calls/<slug:public_id>/edit/", call_editor.SectionPage.as_view(section="texts"), name="call-edit"),
    path("calls/<slug:public_id>/edit/who/", call_editor.SectionPage.as_view(section="who"), name="call-who"),
    path("calls/<slug:public_id>/edit/pools/", call_editor.SectionPage.as_view(section="pools"), name="call-pools"),
    path(
        "calls/<slug:public_id>/edit/criteria/",
        call_editor.SectionPage.as_view(section="criteria"),
        name="call-criteria",
    ),
    path(
        "calls/<slug:public_id>/edit/questions/",
        call_editor.SectionPage.as_view(section="questions"),
        name="call-questions",
    ),
    path("calls/<slug:public_id>/edit/steps/", call_editor.SectionPage.as_view(section="steps"), name="call-steps"),
    path("calls/<slug:public_id>/edit/dates/", call_editor.SectionPage.as_view(section="dates"), name="call-dates"),
    path(
        "calls/<slug:public_id>/edit/fast-lane/",
        call_editor.SectionPage.as_view(section="fast_lane"),
        name="call-fast-lane",
    ),
    path("calls/<slug:public_id>/edit/documents/", call_editor.Documents.as_view(), name="call-documents"),
    path(
        "calls/<slug:public_id>/edit/documents/<slug:document_id>/remove/",
        call_editor.DocumentRemove.as_view(),
        name="call-document-remove",
    ),
    path("calls/<slug:public_id>/publish/", call_editor.CallPublish.as_view(), name="call-publish"),
    path("calls/<slug:public_id>/cancel/", call_editor.CallCancel.as_view(), name="call-cancel"),
    path("calls/<slug:public_id>/copy/", call_editor.CallCopy.as_view(), name="call-copy"),
    path("calls/<slug:public_id>/preview/", call_editor.CallPreview.as_view(), name="call-preview"),
    path("open-calls/", public.OpenCalls.as_view(), name="public-calls"),
    path("open-calls/<slug:public_id>/", public.OpenCall.as_view(), name="public-call"),
    path(
        "open-calls/<slug:public_id>/documents/<slug:document_id>/",
        public.OpenCallDocument.as_view(),
        name="call-document",
    ),
    path("staff/calls/", calls.StaffCalls.as_view(), name="staff-calls"),
    path("staff/calls/new/", call_editor.CallNew.as_view(), name="call-new"),
    path("staff/calls/<slug:public_id>/figures/", calls.CallFiguresPage.as_view(), name="call-figures"),
]
