"""What the supervisor says when it cannot go on: one clear line with the remedy."""


class EmbeddedError(Exception):
    """The message is one line for a person; no traceback is needed to act on it."""
