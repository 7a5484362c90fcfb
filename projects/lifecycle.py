"""The progress report's table."""

from common.lifecycle import Lifecycle

PROGRESS_REPORT = Lifecycle(
    noun="progress report",
    initial="submitted",
    table={
        ("submitted", "accept"): "accepted",
        ("submitted", "send_back"): "returned",
        ("returned", "submit"): "submitted",
    },
)
