"""Writing a proposal: one page a step, each with its own address. Works without JavaScript; with it, pages save
by themselves.
"""

from proposals.views.editor.answers import EditQuestions
from proposals.views.editor.files import AttachmentFile, AttachmentRemove, EditAttachments
from proposals.views.editor.lines import EditLines, ProposalCheck
from proposals.views.editor.start import EditStart, ProposalNew
from proposals.views.editor.submit import EditSubmit
from proposals.views.editor.team import EditTeam
from proposals.views.editor.texts import EditAbout, EditPlan

__all__ = [
    "AttachmentFile",
    "AttachmentRemove",
    "EditAbout",
    "EditAttachments",
    "EditLines",
    "EditPlan",
    "EditQuestions",
    "EditStart",
    "EditSubmit",
    "EditTeam",
    "ProposalCheck",
    "ProposalNew",
]
