"""What hints say: what it looks like, from where on, how to mend it."""

from django.utils.translation import gettext_lazy as _

from common.errors import Text
from usage.hint_rules import HINT_RULE

TITLES: dict[str, Text] = {
    "hung": _("Looks hung"),
    "few": _("Few of its GPUs work"),
    "loading": _("The GPUs wait for data"),
    "parked": _("Memory filled, nothing runs"),
    "idle": _("Nothing runs"),
    "waiting": _("Busy, but hardly computing"),
    "plain": _("Tensor cores are not used"),
}
FACTS: dict[str, Text] = {
    "hung": _("Hung, as it seems"),
    "few_busy": _("GPUs busy at a time, mean"),
    "few_devices": _("GPUs held at the time, mean"),
    "loading_utilisation": _("GPU utilisation, mean"),
    "loading_cpu": _("CPU of the whole machine, mean"),
    "loading_disk": _("Read from disks of the machine, mean"),
    "parked": _("Idle with memory filled"),
    "idle": _("Idle"),
    "waiting_utilisation": _("GPU utilisation, mean"),
    "waiting_sm": _("Multiprocessors active, mean"),
    "plain_utilisation": _("GPU utilisation, mean"),
    "plain_tensor": _("Tensor cores active, mean"),
}
MEND: dict[str, Text] = {
    "hung": _(
        "Look at the log of each rank: one of them has usually stopped or waits in a collective. Set NCCL_DEBUG=INFO"
        " and a timeout of the process group, so that the next one ends by itself, and start again from the last"
        " checkpoint."
    ),
    "few": _(
        "Start as many processes as there are GPUs (torchrun --nproc_per_node) and look at CUDA_VISIBLE_DEVICES. If the"
        " work needs no more GPUs, give back the others on the reservation's page: their hours come back."
    ),
    "loading": _(
        "Give the data loader more workers and prefetching (num_workers, pin_memory, prefetch_factor), read few large"
        " files from a local disk in place of many small ones, and prepare data beforehand on a reservation with fewer"
        " GPUs."
    ),
    "parked": _(
        "A process still holds memory and does nothing: often a notebook that was left open or a server without"
        " requests. End it, or give back the GPUs on the reservation's page."
    ),
    "idle": _(
        "Give back what nobody uses on the reservation's page: its hours come back. Book for the time at which the job"
        " is ready to run, and use the wait-list for what may start at any time."
    ),
    "waiting": _(
        "GPUs that wait for each other or run very small kernels say that they are busy. Let a profiler (nsys, the"
        " profiler of PyTorch) show the time spent in collectives; larger batches, overlapping of communication and"
        " computation, and fused or compiled kernels help, and so does having the GPUs on one node."
    ),
    "plain": _(
        "Compute in bfloat16 or with automatic mixed precision (torch.autocast), allow TF32 for the rest, and keep"
        " sizes of layers and batches multiples of eight."
    ),
}


UNITS: dict[str, Text] = {
    "%": _("%(value)s %%"),
    "h": _("%(value)s GPU-hours"),
    "GPU": _("%(value)s GPUs"),
    "MB/s": _("%(value)s MB/s"),
}
"""How a figure is written with its unit."""
LEAST = _("Said from %(hours)d GPU-hours on that are at least %(share)d %% of what was measured of the reservation.")
THRESHOLDS: dict[str, Text] = {
    "hung": _("Said from %(minutes)d GPU-minutes on that were judged to be hung."),
    "few": _("Hours in which at most half of two or more GPUs were busy; what the others idled counts."),
    "loading": _(
        "Idle minutes in which the machine's CPU was busy from %(cpu)d %% or %(disk)d MB/s were read on, and hours with"
        " a mean GPU utilisation below %(loading)d %% of which the same is true. Hours in which others had GPUs of the"
        " machine are left out."
    ),
    "parked": _("Minutes that were idle with more than 1 GiB of memory filled."),
    "idle": _("Idle minutes, without those that another hint counts."),
    "waiting": _(
        "Hours with a mean GPU utilisation from %(waiting)d %% on and fewer than %(sm)d %% of multiprocessors active."
    ),
    "plain": _(
        "Hours with a mean GPU utilisation from %(plain)d %% on and tensor cores active less than %(tensor)d %% of the"
        " time, on GPUs that measure it."
    ),
}


def threshold(kind: str) -> str:
    """From which figures on the hint is given, in words, from the very figures by which it is judged."""
    rule = HINT_RULE
    values = {
        "share": round(100 * rule.least_share),
        "hours": rule.least_seconds // 3600,
        "minutes": rule.hung_seconds // 60,
        "loading": round(rule.loading_utilisation),
        "cpu": round(rule.loading_cpu),
        "disk": rule.loading_disk // 1_000_000,
        "plain": round(rule.plain_utilisation),
        "tensor": round(rule.plain_tensor),
        "waiting": round(rule.waiting_utilisation),
        "sm": round(rule.waiting_sm),
    }
    words = [str(THRESHOLDS[kind])] if kind == "hung" else [str(THRESHOLDS[kind]), str(LEAST)]
    return " ".join(words) % values
