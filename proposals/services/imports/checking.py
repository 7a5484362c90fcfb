"""Every row of a sheet looked at, with all that is wrong named; a fixed number of queries for any number of rows."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.core.validators import EmailValidator
from django.utils.translation import gettext as _

from cluster.models import GpuClass
from common.errors import DomainError, RuleBroken
from common.moments import agency_today
from common.texts import one_line
from partners.models import Agreement, Organisation
from partners.policy import Committed
from proposals.asks import AskLine, TeamRow, check_line
from proposals.models import Call, Proposal, Question
from proposals.selectors import gpu_classes_of, judge
from proposals.selectors.eligibility import handed_in, standing
from proposals.selectors.fitting import committed_by
from proposals.services.drafting import shown_moment
from proposals.services.eligibility import check_size
from proposals.services.imports import cells
from proposals.services.imports.columns import BY_KEY, OF_THE_PROPOSAL, ImportColumn
from proposals.services.imports.problems import Problem
from proposals.services.imports.questions import read_answer
from proposals.services.parts import MAX_DATA, MAX_PLAN, clean_text, clean_title

MAX_REFERENCE = 60


@dataclass
class Wanted:
    """A proposal as the file has it: its first row's number, what it says, its lines with their rows."""

    row: int
    said: dict[str, Any]
    raw: dict[str, str]
    lines: list[tuple[int, AskLine]] = field(default_factory=list)

    @property
    def gpu_seconds(self) -> int:
        """Device-seconds asked for in all."""
        return sum(line.gpu_seconds for _row, line in self.lines)

    @property
    def team(self) -> list[TeamRow]:
        """The person in charge, where one is named."""
        name, email = self.said.get("lead_name") or "", self.said.get("lead_email") or ""
        return [TeamRow(name or email, email, _("Lead"))] if name or email else []


@dataclass(frozen=True)
class World:
    """What is in the database of all that the file names."""

    call: Call
    organisations: dict[str, Organisation]
    agreements: dict[str, Agreement]
    committed: dict[int, Committed]
    classes: dict[str, GpuClass]
    known: set[str]
    handed_in: dict[int, int]


class Checking:
    """Collects problems while rows become proposals."""

    def __init__(
        self, call: Call, rows: list[tuple[int, dict[str, str]]], questions: Mapping[ImportColumn, Question]
    ) -> None:
        self.problems: list[Problem] = []
        self.questions = {column.key: (column, question) for column, question in questions.items()}
        self.rows, self.by_number = rows, dict(rows)
        self.world = _world(call, rows)

    def wanted(self) -> list[Wanted]:
        """The proposals of the file that are not known yet; what is wrong with them lands in `problems`."""
        found: dict[str, Wanted] = {}
        for number, raw in self.rows:
            reference = self._reference(number, raw)
            if reference is None or reference in self.world.known:
                continue
            if reference not in found:
                found[reference] = Wanted(number, self._said(number, raw, reference), raw)
            else:
                self._same(number, raw, found[reference])
            line = self._line(number, raw)
            if line is not None:
                found[reference].lines.append((number, line))
        handed_in_by: Counter[int] = Counter(self.world.handed_in)
        for one in found.values():
            self._judge(one)
            self._eligible(one, handed_in_by)
        return list(found.values())

    def _reference(self, number: int, raw: dict[str, str]) -> str | None:
        reference = one_line(raw.get("reference", ""))
        if 0 < len(reference) <= MAX_REFERENCE:
            return reference
        self._wrong(number, raw, "reference", _needed() if not reference else _too_long(MAX_REFERENCE))
        return None

    def _said(self, number: int, raw: dict[str, str], reference: str) -> dict[str, Any]:
        """What the proposal says beside its lines; a value that cannot be is None."""
        get: Callable[..., Any] = lambda key, read, needed=True: self._cell(number, raw, key, read, needed)  # noqa: E731
        said = {
            "reference": reference,
            "organisation": get("registration_number", self._organisation),
            "agreement": get("agreement_number", self._agreement),
            "title": get("title", clean_title),
            "purposes": get("purposes", cells.purposes),
            "plan": get("plan", lambda text: clean_text(text, MAX_PLAN, "plan")),
            "data": get("data", lambda text: clean_text(text, MAX_DATA, "data"), False) or "",
            "submitted_at": get("submitted_at", self._moment, False),
            "lead_name": get("lead_name", _name, False),
            "lead_email": get("lead_email", _email, False),
        }
        for key, (_column, question) in self.questions.items():
            said[key] = get(key, lambda text, question=question: read_answer(question, text), question.is_required)
        organisation, agreement = said["organisation"], said["agreement"]
        if organisation and agreement and agreement.organisation_id != organisation.pk:
            self._wrong(
                number,
                raw,
                "agreement_number",
                RuleBroken(
                    _("This agreement belongs to another organisation."),
                    remedy=_("Look whether the number and the organisation are in the right row."),
                ),
            )
        return said

    def _same(self, number: int, raw: dict[str, str], first: Wanted) -> None:
        """Further rows of a reference say the same as its first one, or nothing."""
        for key in (*OF_THE_PROPOSAL, *self.questions):
            value = raw.get(key, "")
            if value and value != first.raw.get(key, ""):
                message = _("This differs from row %(row)s, which has the same reference.") % {"row": first.row}
                remedy = _("Leave it empty, or give the row a reference of its own.")
                self._wrong(number, raw, key, RuleBroken(message, remedy=remedy))

    def _line(self, number: int, raw: dict[str, str]) -> AskLine | None:
        gpu_class = self._cell(number, raw, "gpu_class", self._gpu_class)
        gpus = self._cell(number, raw, "gpus", cells.whole_number)
        smallest = self._cell(number, raw, "smallest_gpus", cells.whole_number, False)
        hours = self._cell(number, raw, "hours", cells.whole_number)
        first = self._cell(number, raw, "window_from", cells.day)
        last = self._cell(number, raw, "window_until", cells.day)
        if None in (gpu_class, gpus, hours, first, last):
            return None
        line = AskLine(gpu_class, gpus, gpus if smallest is None else smallest, hours, first, last)
        try:
            check_line(line, agency_today())
        except RuleBroken as error:
            self._wrong(number, raw, error.field or "gpus", error)
            return None
        return line

    def _judge(self, one: Wanted) -> None:
        """What the agreement says, with what it has committed already; each proposal by itself, as on submission."""
        agreement = one.said["agreement"]
        if agreement is None or not one.lines:
            return
        lines = [line for _row, line in one.lines]
        used = self.world.committed.get(agreement.pk, Committed())
        for (number, _line), (_before, refusal) in zip(one.lines, judge(agreement, lines, used), strict=True):
            if refusal:
                raw = self.by_number[number]
                self._wrong(number, raw, refusal.field or "gpus", refusal)

    def _eligible(self, one: Wanted, handed_in_by: Counter[int]) -> None:
        """What the call asks of whoever proposes and of how much; `handed_in_by` counts the file's own, too."""
        call, organisation = self.world.call, one.said["organisation"]
        if one.lines:
            try:
                check_size(call, one.gpu_seconds)
            except RuleBroken as error:
                self._wrong(one.row, one.raw, "hours", error)
        if organisation is None:
            return
        handed_in_by[organisation.pk] += 1
        for condition in standing(call, organisation):
            if not condition.met:
                message = _("The call asks: %(asked)s. The organisation: %(own)s.")
                text = message % {"asked": condition.asked, "own": condition.own}
                refusal = RuleBroken(text, remedy=condition.remedy)
                self._wrong(one.row, one.raw, "registration_number", refusal)
        if call.most_proposals is not None and handed_in_by[organisation.pk] > call.most_proposals:
            text = _("The call takes at most %(count)s proposals of one organisation.") % {"count": call.most_proposals}
            remedy = _("Leave this one out, or let one be withdrawn first.")
            self._wrong(one.row, one.raw, "registration_number", RuleBroken(text, remedy=remedy))

    def _cell(self, number: int, raw: dict[str, str], key: str, read: Callable[[str], Any], needed: bool = True) -> Any:
        text = raw.get(key, "")
        if not text:
            if needed:
                self._wrong(number, raw, key, _needed())
            return None
        try:
            return read(text)
        except DomainError as error:
            self._wrong(number, raw, key, error)
            return None

    def _organisation(self, text: str) -> Organisation:
        found = self.world.organisations.get(cells.registration_number(text))
        if found is None:
            raise RuleBroken(_("No organisation has this number."), remedy=_("Register the organisation first."))
        return found

    def _agreement(self, text: str) -> Agreement:
        found = self.world.agreements.get(text)
        if found is None:
            raise RuleBroken(_("There is no agreement of this number."), remedy=_("Register the agreement first."))
        return found

    def _gpu_class(self, text: str) -> str:
        found = self.world.classes.get(text.casefold())
        if found is None:
            offered = ", ".join(sorted({row.code for row in self.world.classes.values()}))
            raise RuleBroken(
                _("This call does not offer that GPU class."), remedy=_("It offers: %(what)s.") % {"what": offered}
            )
        return found.code

    def _moment(self, text: str) -> datetime:
        at = cells.moment(text)
        closes = self.world.call.closes_at
        if closes is not None and at >= closes:
            raise RuleBroken(
                _("This is after the cut-off of the call, %(cut_off)s.") % {"cut_off": shown_moment(closes)},
                remedy=_("Leave out what came too late."),
            )
        return at

    def _wrong(self, number: int, raw: dict[str, str], key: str, error: DomainError) -> None:
        column = self.questions[key][0] if key in self.questions else BY_KEY.get(key) or BY_KEY["gpus"]
        value = raw.get(column.key, "")[:200]
        remedy = str(error.remedy) or _("What belongs here: %(what)s") % {"what": column.help or column.example}
        self.problems.append(Problem(number, column.label, value, str(error.message), remedy))


def _world(call: Call, rows: list[tuple[int, dict[str, str]]]) -> World:
    """Six queries and two for what the agreements have committed."""
    numbers = {"".join(char for char in raw.get("registration_number", "") if char.isdigit()) for _row, raw in rows}
    found = Organisation.objects.filter(registration_number__in=numbers)
    organisations = {row.registration_number: row for row in found}
    agreements = Agreement.objects.filter(number__in={raw.get("agreement_number", "") for _row, raw in rows})
    by_number = {row.number: row for row in agreements.select_related("organisation")}
    references = {one_line(raw.get("reference", "")) for _row, raw in rows}
    known = Proposal.objects.filter(call=call, external_ref__in=references).values_list("external_ref", flat=True)
    offered = list(gpu_classes_of(call))
    return World(
        call,
        organisations,
        by_number,
        committed_by(by_number.values()),
        {name.casefold(): row for row in offered for name in (row.code, row.name)},
        {str(reference) for reference in known},
        handed_in(call, organisations.values()) if call.most_proposals is not None else {},
    )


def _name(text: str) -> str:
    name = one_line(text)
    if len(name) > 100:
        raise _too_long(100)
    return name


def _email(text: str) -> str:
    email = text.strip().lower()
    try:
        EmailValidator()(email)
    except Exception:
        raise RuleBroken(_("This is not an e-mail address."), remedy=_("Correct it, or leave it empty.")) from None
    return email


def _needed() -> RuleBroken:
    return RuleBroken(_("Something must stand here."), remedy=_("Fill it in."))


def _too_long(most: int) -> RuleBroken:
    return RuleBroken(_("At most %(most)s characters are possible here.") % {"most": most}, remedy=_("Shorten it."))
