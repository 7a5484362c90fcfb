"""The page of the team."""

from typing import Any

from common.errors import DomainError
from proposals.asks import MAX_TEAM, Part, Team
from proposals.forms import TEAM_FIELDS, initial_team, reshaped, team_forms, typed_rows
from proposals.views.editor.base import Step


class EditTeam(Step):
    key = part = "team"
    template_name = "proposals/editor/team.html"

    def build(self, data: Any) -> Any:
        if data is not None:
            return team_forms(data=data)
        return team_forms(initial=initial_team(self.draft.team) or [{}])

    def reshape(self, action: str) -> Any:
        rows = typed_rows(self.request.POST, "team", TEAM_FIELDS, MAX_TEAM)
        return team_forms(initial=reshaped(rows, action, MAX_TEAM))

    def content(self) -> Part:
        return Team(tuple(row for _form, row in self._filled()))

    def place(self, error: DomainError) -> None:
        parts = (error.field or "").split(".")
        rows = self._filled()
        if parts[0] == "team" and len(parts) == 3 and parts[2] in TEAM_FIELDS:
            rows[int(parts[1])][0].add_error(parts[2], str(error))
        else:
            self.form._non_form_errors.append(str(error))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        may_add = self.form.total_form_count() < MAX_TEAM
        return super().get_context_data(most_rows=MAX_TEAM, may_add=may_add, **kwargs)

    def _filled(self) -> list[tuple[Any, Any]]:
        return [(form, form.row) for form in self.form.forms if form.row is not None]
