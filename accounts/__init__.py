"""People: users, their agency roles, API tokens and SSH keys."""
