"""Verbs on projects and their teams."""

from projects.services.progress import Progress, accept_report, held_back, send_back_report, submit_report
from projects.services.projects import add_team_member, check_may_lead, create_project, hand_over, remove_team_member

__all__ = [
    "Progress",
    "accept_report",
    "add_team_member",
    "check_may_lead",
    "create_project",
    "hand_over",
    "held_back",
    "remove_team_member",
    "send_back_report",
    "submit_report",
]
