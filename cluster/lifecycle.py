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
        ("rma", "clean"): "cleaning",
        **{(state, "retire"): "retired" for state in ("available", "cleaning", "offline", "quarantined", "rma")},
        ("retired", "make_again"): "cleaning",  # a MIG instance alone: the same layout gives it the same UUID
    },
)

NODE = Lifecycle(
    noun="node",
    initial="joining",
    table={
        ("joining", "confirm"): "ready",
        ("ready", "drain"): "draining",
        ("draining", "resume"): "ready",
        ("draining", "maintain"): "maintenance",
        ("maintenance", "resume"): "fenced",  # its free devices are proved before anything is promised there
        ("ready", "miss"): "suspect",
        ("draining", "miss"): "suspect",
        ("suspect", "hear"): "ready",
        ("suspect", "hear_drained"): "draining",
        ("suspect", "give_up"): "unreachable",
        ("unreachable", "hear"): "fenced",
        ("fenced", "confirm_clean"): "ready",
        ("fenced", "confirm_clean_drained"): "draining",
        ("fenced", "give_up"): "unreachable",
        **{(state, "retire"): "retired" for state in ("joining", "draining", "maintenance", "unreachable")},
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
