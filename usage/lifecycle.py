"""The tables of a rule about idle GPUs and of the cases under it."""

from common.lifecycle import Lifecycle

IDLE_RULE = Lifecycle(
    noun="idle rule",
    initial="draft",
    table={
        ("draft", "switch_on"): "on",
        ("draft", "discard"): "discarded",
        ("on", "replace"): "replaced",
        ("on", "switch_off"): "off",
    },
)

IDLE_CASE = Lifecycle(
    noun="idle case",
    initial="detected",
    table={
        ("detected", "notice"): "noticed",
        ("detected", "resolve"): "resolved",
        ("noticed", "appeal"): "appealed",
        ("noticed", "come_due"): "due",
        ("noticed", "resolve"): "resolved",
        ("noticed", "stop"): "stopped",
        ("appealed", "uphold"): "upheld",
        ("appealed", "dismiss"): "noticed",
        ("appealed", "come_due"): "due",
        ("appealed", "resolve"): "resolved",
        ("appealed", "stop"): "stopped",
        ("due", "appeal"): "appealed",
        ("due", "execute"): "executing",
        ("due", "resolve"): "resolved",
        ("due", "stop"): "stopped",
        ("executing", "finish"): "executed",
        ("executing", "resolve"): "resolved",
    },
)

CASE_OPEN = ("detected", "noticed", "appealed", "due", "executing")
"""States of a case that is not over: a reservation has one such case at most."""

ANSWERABLE = ("noticed", "appealed", "due")
"""Of these, those in which both sides may still say something that counts."""
