"""The root part of a node: the only code of the agent that runs as root. A few fixed verbs.

Standard library alone, but for the verbs that ask the driver.
"""
