"""Addresses of proposals."""

from django.urls import path

from proposals import call_urls, deciding_urls, review_urls
from proposals.views import copies, editor, imports, proposals, staff, versions

app_name = "proposals"
urlpatterns = [
    *deciding_urls.urlpatterns,
    *call_urls.urlpatterns,
    path("calls/<slug:public_id>/propose/", editor.ProposalNew.as_view(), name="proposal-new"),
    path("calls/<slug:public_id>/check/", editor.ProposalCheck.as_view(), name="proposal-check"),
    path("proposals/", proposals.ProposalList.as_view(), name="proposals"),
    path("proposals/<slug:public_id>/", proposals.ProposalPage.as_view(), name="proposal"),
    path("proposals/<slug:public_id>/edit/", editor.EditStart.as_view(), name="proposal-edit"),
    path("proposals/<slug:public_id>/edit/about/", editor.EditAbout.as_view(), name="edit-about"),
    path("proposals/<slug:public_id>/edit/plan/", editor.EditPlan.as_view(), name="edit-plan"),
    path("proposals/<slug:public_id>/edit/team/", editor.EditTeam.as_view(), name="edit-team"),
    path("proposals/<slug:public_id>/edit/lines/", editor.EditLines.as_view(), name="edit-lines"),
    path("proposals/<slug:public_id>/edit/questions/", editor.EditQuestions.as_view(), name="edit-questions"),
    path("proposals/<slug:public_id>/edit/attachments/", editor.EditAttachments.as_view(), name="edit-attachments"),
    path("proposals/<slug:public_id>/edit/submit/", editor.EditSubmit.as_view(), name="edit-submit"),
    path("proposals/<slug:public_id>/copy/", copies.ProposalCopy.as_view(), name="proposal-copy"),
    path("proposals/<slug:public_id>/receipt/", versions.Receipt.as_view(), name="receipt"),
    path("proposals/<slug:public_id>/receipt/content/", versions.ReceiptContent.as_view(), name="receipt-content"),
    path("proposals/<slug:public_id>/changes/", versions.Changes.as_view(), name="changes"),
    path("attachments/<slug:public_id>/", editor.AttachmentFile.as_view(), name="attachment"),
    path("attachments/<slug:public_id>/remove/", editor.AttachmentRemove.as_view(), name="attachment-remove"),
    path("proposals/<slug:public_id>/withdraw/", proposals.ProposalWithdraw.as_view(), name="proposal-withdraw"),
    path("proposals/<slug:public_id>/accept/", proposals.ProposalAccept.as_view(), name="proposal-accept"),
    path("proposals/<slug:public_id>/refuse/", proposals.ProposalRefuse.as_view(), name="proposal-refuse"),
    path("staff/proposals/import/", imports.ImportPage.as_view(), name="import"),
    path("staff/proposals/import/template/", imports.ImportTemplate.as_view(), name="import-template"),
    *review_urls.urlpatterns,
    path("staff/proposals/", staff.Queue.as_view(), name="queue"),
    path("staff/proposals/<slug:public_id>/review/", staff.StartReview.as_view(), name="start-review"),
    path("staff/proposals/<slug:public_id>/return/", staff.Return.as_view(), name="return"),
    path("staff/proposals/<slug:public_id>/decline/", staff.Decline.as_view(), name="decline"),
    path("staff/proposals/<slug:public_id>/award/", staff.Decide.as_view(), name="award"),
]
