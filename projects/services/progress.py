"""Progress reports: the partner writes one, an officer accepts it or sends it back; accepted, it frees what awards hold
back."""

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from accounts.rules import may_run_programme
from audit.services import record
from common.errors import RuleBroken
from common.moments import agency_today
from common.permissions import require
from common.quantities import seconds_to_hours
from common.texts import composed
from notifications.services import notify
from partners.selectors import managers_of, officers
from partners.services.strangers import check_stranger
from projects.lifecycle import PROGRESS_REPORT
from projects.models import ProgressReport, Project
from projects.rules import may_run_team

MAX_ACHIEVED = 20_000
MAX_OTHER = 10_000
MAX_REASON = 4_000


@dataclass(frozen=True)
class Progress:
    """What a report says; `period_until` is a day that counts."""

    period_from: date
    period_until: date
    achieved: str
    difficulties: str = ""
    next_steps: str = ""


@transaction.atomic
def submit_report(
    *, actor: Any, project: Project, content: Progress, report: ProgressReport | None = None
) -> ProgressReport:
    """Hand in a report, or one that was sent back anew. Forbidden; InvalidTransition; RuleBroken (field) where it is
    incomplete, or another one still waits."""
    require(actor, may_run_team, project)
    project = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    content = _cleaned(content)
    _check_begun(project, content)
    before = None
    if report is None:
        _check_none_open(project)
        report = ProgressReport(project=project)
    else:
        report = _lock(report)
        before = report.state
        report.state = PROGRESS_REPORT.next(report.state, "submit")
    for name, value in asdict(content).items():
        setattr(report, name, value)
    report.written_by, report.submitted_at = actor, timezone.now()
    report.save()
    changes = {"state": [before, report.state], "project": project.public_id, "until": content.period_until.isoformat()}
    record(actor=actor, verb="progress_report.submit", target=report, changes=changes)
    _tell(report, officers(), "progress_submitted")
    return report


@transaction.atomic
def accept_report(*, actor: Any, report: ProgressReport) -> ProgressReport:
    """Accept it; what the awards held back is granted in the same transaction. Forbidden, InvalidTransition,
    RuleBroken for somebody of that organisation.
    """
    require(actor, may_run_programme)
    report = _lock(report)
    check_stranger(actor, report.project.organisation)
    before, report.state = report.state, PROGRESS_REPORT.next(report.state, "accept")
    report.answer = ""
    _decide(report, actor)
    grant = import_string(settings.PROGRESS_ACCEPTED)
    granted = grant(actor=actor, project=report.project, report_ref=report.public_id)
    changes = {"state": [before, report.state], "granted_gpu_seconds": granted}
    record(actor=actor, verb="progress_report.accept", target=report, changes=changes)
    _tell(report, _partners(report), "progress_accepted", hours=seconds_to_hours(granted) if granted else "")
    return report


@transaction.atomic
def send_back_report(*, actor: Any, report: ProgressReport, reason: str) -> ProgressReport:
    """Send it back to be changed. Forbidden, InvalidTransition, RuleBroken without a reason."""
    require(actor, may_run_programme)
    reason = composed(reason).strip()
    if not 0 < len(reason) <= MAX_REASON:
        raise RuleBroken(
            _("A reason is needed, of at most %(most)s characters.") % {"most": MAX_REASON},
            code="reason_needed",
            remedy=_("The partner reads it, so say what is missing."),
            field="reason",
        )
    report = _lock(report)
    check_stranger(actor, report.project.organisation)
    before, report.state = report.state, PROGRESS_REPORT.next(report.state, "send_back")
    report.answer = reason
    _decide(report, actor)
    changes = {"state": [before, report.state], "reason": reason}
    record(actor=actor, verb="progress_report.send_back", target=report, changes=changes)
    _tell(report, _partners(report), "progress_returned", reason=reason)
    return report


def held_back(project: Project) -> int:
    """Device-seconds that the project's awards hold back until a report is accepted."""
    return int(import_string(settings.HELD_BACK)(project))


def _lock(report: ProgressReport) -> ProgressReport:
    rows = ProgressReport.objects.select_for_update(of=("self",), no_key=True)
    return rows.select_related("project__organisation", "written_by").get(pk=report.pk)


def _decide(report: ProgressReport, actor: Any) -> None:
    report.decided_by, report.decided_at = actor, timezone.now()
    report.save(update_fields=["state", "answer", "decided_by", "decided_at"])


def _check_none_open(project: Project) -> None:
    if project.progress_reports.exclude(state="accepted").exists():
        raise RuleBroken(
            _("A progress report of this project is still open."),
            code="report_open",
            remedy=_("Change that one where it was sent back, or wait until it is accepted."),
        )


def _check_begun(project: Project, content: Progress) -> None:
    if content.period_from < project.began_on:
        raise RuleBroken(
            _("The project began on %(day)s: a report cannot begin before it.") % {"day": project.began_on.isoformat()},
            code="before_project",
            remedy=_("Let the period begin on %(day)s or later.") % {"day": project.began_on.isoformat()},
            field="period_from",
            facts={"rule": "report_within_project", "earliest": project.began_on.isoformat()},
        )


def _cleaned(content: Progress) -> Progress:
    texts = {name: composed(getattr(content, name)).strip() for name in ("achieved", "difficulties", "next_steps")}
    for name, value in texts.items():
        least, most = (1, MAX_ACHIEVED) if name == "achieved" else (0, MAX_OTHER)
        if not least <= len(value) <= most:
            raise RuleBroken(
                _("This needs a text of at most %(most)s characters.") % {"most": most}, code="bad_text", field=name
            )
    if content.period_until < content.period_from:
        raise RuleBroken(_("The period ends before it begins."), code="period_order", field="period_until")
    if content.period_until > agency_today():
        raise RuleBroken(
            _("A report tells what was done: its period ends today at the latest."),
            code="period_in_future",
            field="period_until",
        )
    return Progress(content.period_from, content.period_until, **texts)


def _partners(report: ProgressReport) -> list[Any]:
    return [*managers_of(report.project.organisation), report.written_by]


def _tell(report: ProgressReport, people: Any, event: str, **more: Any) -> None:
    context = {"project": report.project.title, "organisation": report.project.organisation.lazy_name, **more}
    notify(recipients=people, event=event, context=context, url=report.get_absolute_url())
