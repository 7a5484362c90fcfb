"""The tables of device, node and command."""

from common.lifecycle import Lifecycle

_LIVE = ("available", "preparing", "in_use", "cleaning")

DEVICE = Lifecycle(
    noun="device",
    initial="cleaning",
    table={
        ("available", "prepare"): "preparing",
        ("preparing", "hand_over"): "in_use",
        ("preparing", "clean"): "cleaning",
        ("in_use", "clean"): "cleaning",
        ("cleaning", "confirm_clean"): "available",
        **{(state, "lose"): "offline" for state in (*_LIVE, "quarantined")},
        **{(state, "quarantine"): "quarantined" for state in (*_LIVE, "offline")},
        ("offline", "clean"): "cleaning",
        ("quarantined", "clean"): "cleaning",
        ("quarantined", "send_back"): "rma",
        ("rma", "retire"): "retired",
    },
)

NODE = Lifecycle(
    noun="node",
    initial="ready",
    table={
        ("ready", "drain"): "draining",
        ("draining", "resume"): "ready",
        ("draining", "maintain"): "maintenance",
        ("maintenance", "resume"): "ready",
        ("ready", "miss"): "suspect",
        ("draining", "miss"): "suspect",
        ("suspect", "hear"): "ready",
        ("suspect", "hear_drained"): "draining",
        ("suspect", "give_up"): "unreachable",
        ("unreachable", "hear"): "fenced",
        ("fenced", "confirm_clean"): "ready",
        ("fenced", "confirm_clean_drained"): "draining",
        ("fenced", "give_up"): "unreachable",
    },
)

COMMAND = Lifecycle(
    noun="command",
    initial="pending",
    table={
        ("pending", "succeed"): "done",
        ("pending", "fail"): "failed",
        ("pending", "expire"): "expired",
        ("pending", "supersede"): "superseded",
    },
)
