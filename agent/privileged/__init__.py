"""The root part of a node: the only code of the agent that runs as root. Standard library alone, a few fixed verbs."""
