"""Verbs on projects and their teams."""

from projects.services.projects import add_team_member, create_project, remove_team_member

__all__ = ["add_team_member", "create_project", "remove_team_member"]
